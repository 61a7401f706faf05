// badgectl evidence: one call, and the answer to standard output or whole into a file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "daemon/ctl/verbs.h"

namespace badged::ctl {
namespace {

// "sha256:0,1,7" into the member of that bank. What it may hold is badged's to say.
bool add_bank(const std::string& text, boost::json::object& pcrs) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || pcrs.contains(text.substr(0, colon))) return false;
  boost::json::array numbers;
  for (std::size_t at = colon; at != std::string::npos;) {
    const std::size_t end = text.find(',', at + 1);
    const std::string number = text.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    if (number.empty() || number.size() > 2 ||
        number.find_first_not_of("0123456789") != std::string::npos)
      return false;
    numbers.push_back(std::stoi(number));
    at = end;
  }
  pcrs[text.substr(0, colon)] = std::move(numbers);
  return true;
}

// RFC 7515 3.1, by its characters: what it says is a verifier's affair, what a terminal makes of it
// is ours.
bool is_compact(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789-_.") == std::string_view::npos;
}

Failure cannot_write(const std::string& path, int error) {
  return {Exit::unreachable,
          "unwritable",
          "write the evidence to " + path + ": " + std::strerror(error),
          "may you write there, and is there room?",
          {}};
}

// 0, or errno. Closes `fd`.
int write_and_close(int fd, std::string_view text) {
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) error = errno;
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  return error;
}

// What stands there and is no plain file, such as /dev/stdout or a link, is written to; a rename
// would put a file in its place.
bool is_other_than_file(const std::string& path) {
  struct stat facts {};
  return ::lstat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode);
}

int write_through(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
  return fd < 0 ? errno : write_and_close(fd, text);
}

// Beside the file first, so that no half of it is ever at its place.
int write_whole(const std::string& path, std::string_view text) {
  if (is_other_than_file(path)) return write_through(path, text);
  std::string name = path + ".XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return errno;
  int error = write_and_close(fd, text);
  if (error == 0 && ::rename(name.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) ::unlink(name.c_str());
  return error;
}

}  // namespace

Outcome evidence(const Options& options) {
  boost::json::object body{{"challenge", options.challenge}, {"audience", options.audience}};
  boost::json::object pcrs;
  for (const auto& bank : options.pcrs)
    if (!add_bank(bank, pcrs))
      return Failure{Exit::malformed,
                     "malformed",
                     "read --pcrs " + bank + ": not a bank and its PCRs",
                     "sha256:0,1,7; for more banks the option is repeated",
                     {}};
  if (!pcrs.empty()) body["pcrs"] = std::move(pcrs);
  if (!is_utf8(options.challenge) || !is_utf8(options.audience))
    return Failure{Exit::malformed, "malformed", "read the options: they are no UTF-8", {}, {}};
  const HttpCall what{"POST", "/v1/evidence", "application/json", boost::json::serialize(body),
                      false};
  Attempt<Client> client = options.host ? admin_client(options) : agent_client(options);
  if (client.has_error()) return client.error();
  auto text = call_for_text(client.value(), what);
  if (text.has_error()) return options.host ? text.error() : with_process_hint(text.error());
  if (!is_compact(text.value()))
    return Failure{
        Exit::unreachable, "bad_answer", "read badged's answer: it is no evidence", {}, {}};
  if (options.out.empty()) {
    boost::json::object object{{"evidence", text.value()}};
    return Answer{std::move(object), std::move(text.value())};
  }
  if (const int error = write_whole(options.out, text.value() + '\n'))
    return cannot_write(options.out, error);
  return Answer{boost::json::object{{"out", options.out}}, {}};
}

}  // namespace badged::ctl
