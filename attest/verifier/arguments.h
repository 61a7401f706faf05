// Options stand before or after the verb; the option parser wants the verb first.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace badged::verifier {

// The arguments with the verb moved to the front, in the reversed order that CLI::App::parse takes.
std::vector<std::string> verb_first(const CLI::App& app, int argc, char** argv);

}  // namespace badged::verifier
