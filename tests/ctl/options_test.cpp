#include "daemon/ctl/options.h"

#include <catch2/catch.hpp>

using namespace badged::ctl;

namespace {

Options parsed(std::vector<std::string> words, const Environment& environment = {}) {
  auto result = parse(std::move(words), environment);
  if (const auto* stop = std::get_if<Stop>(&result)) FAIL(stop->text);
  return std::get<Options>(result);
}

int status(std::vector<std::string> words) {
  auto result = parse(std::move(words), {});
  const auto* stop = std::get_if<Stop>(&result);
  return stop ? stop->exit_status : -1;
}

}  // namespace

TEST_CASE("options stand before, between and after verbs") {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"audit", "tail", "--since", "1h", "--json"},
        {"--since", "1h", "audit", "--json", "tail"},
        {"--json", "--since=1h", "audit", "tail"},
        {"audit", "--since", "1h", "--json", "tail"}}) {
    Options options = parsed(words);
    CHECK(options.verb == Verb::audit_tail);
    CHECK(options.since == "1h");
    CHECK(options.json);
  }
}

TEST_CASE("a value that is spelled like a verb stays a value") {
  Options options = parsed({"--audience", "exec", "token", "--scope", "curl"});
  CHECK(options.verb == Verb::token);
  CHECK(options.audience == "exec");
  CHECK(options.scope == std::vector<std::string>{"curl"});
}

TEST_CASE("sockets come from the option, else the environment, else the default") {
  Environment environment{"/e/agent", "/e/admin"};
  CHECK(parsed({"status"}).socket == default_socket);
  CHECK(parsed({"status"}).admin_socket == default_admin_socket);
  CHECK(parsed({"status"}, environment).socket == "/e/agent");
  CHECK(parsed({"status"}, environment).admin_socket == "/e/admin");
  CHECK(parsed({"status", "--socket", "/o"}, environment).socket == "/o");
  CHECK(parsed({"--admin-socket", "/o", "status"}, environment).admin_socket == "/o");
}

TEST_CASE("what follows the dashes belongs to the command, options or not") {
  Options exec = parsed({"exec", "--json", "--", "ls", "--json", "--", "-l"});
  CHECK(exec.json);
  CHECK(exec.rest == std::vector<std::string>{"ls", "--json", "--", "-l"});
  Options curl = parsed({"curl", "https://a/", "--", "-s"});
  CHECK(curl.url == "https://a/");
  CHECK(curl.rest == std::vector<std::string>{"-s"});
  CHECK_FALSE(parsed({"exec", "--", "true", "--json"}).json);
}

TEST_CASE("the dashes let a file's name begin with one") {
  CHECK(parsed({"audit", "verify", "--", "-odd"}).file == "-odd");
}

TEST_CASE("scopes repeat, audiences do not") {
  CHECK(parsed({"token", "--audience", "a", "--scope", "x", "--scope", "y"}).scope.size() == 2);
  CHECK(status({"token", "--audience", "a", "--audience", "b"}) == 2);
}

TEST_CASE(
    "a value that is given and empty is wrong usage: it would widen what was meant to narrow") {
  CHECK(status({"token", "--audience", "a", "--scope", ""}) == 2);
  CHECK(status({"token", "--audience", "a", "--scope="}) == 2);
  CHECK(status({"token", "--audience", "a", "--scope", "x", "--scope", ""}) == 2);
  CHECK(status({"token", "--audience", "a", "--scope", " "}) == 2);
  CHECK(status({"token", "--audience", ""}) == 2);
  CHECK(status({"curl", "--scope", "", "https://a/"}) == 2);
  CHECK(status({"proof", "--method", "GET", "--url", "u", "--token-file", "f", "--nonce", ""}) ==
        2);
  CHECK(status({"audit", "verify", ""}) == 2);
  CHECK(status({"status", "--admin-socket", ""}) == 2);
  CHECK(parsed({"exec", "--", "printf", ""}).rest == std::vector<std::string>{"printf", ""});
}

TEST_CASE("wrong usage is told from asking for help") {
  CHECK(status({"--help"}) == 0);
  CHECK(status({"token", "--help"}) == 0);
  CHECK(status({"--version"}) == 0);
  CHECK(status({}) == 2);
  CHECK(status({"no-such-verb"}) == 2);
  CHECK(status({"agents", "no-such-verb"}) == 2);
  CHECK(status({"whoami", "--pid", "0"}) == 2);
  CHECK(status({"proof", "--method", "GET", "--url", "https://a/"}) == 2);
}
