// badgectl evidence: one call, and the answer to standard output or whole into a file.
#include "daemon/ctl/output_file.h"
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

// "sha256:0,1,7+sha384:0", as tpm2-tools and badge-verifier write it.
bool add_banks(const std::string& text, boost::json::object& pcrs) {
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find('+', begin);
    if (!add_bank(text.substr(begin, end == std::string::npos ? end : end - begin), pcrs))
      return false;
  }
  return true;
}

// RFC 7515 3.1, by its characters: what it says is a verifier's affair, what a terminal makes of it
// is ours.
bool is_compact(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789-_.") == std::string_view::npos;
}

}  // namespace

Outcome evidence(const Options& options) {
  boost::json::object body{{"challenge", options.challenge}, {"audience", options.audience}};
  boost::json::object pcrs;
  for (const auto& given : options.pcrs)
    if (!add_banks(given, pcrs))
      return Failure{Exit::malformed,
                     "malformed",
                     "read --pcrs " + given + ": not banks and their PCRs",
                     "sha256:0,1,7 or sha256:0,1,7+sha384:0",
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
  if (options.out.empty() || options.out == "-") {
    boost::json::object object{{"evidence", text.value()}};
    return Answer{std::move(object), std::move(text.value())};
  }
  if (auto failure = write_output(options.out, text.value() + '\n', "the evidence"))
    return *std::move(failure);
  return Answer{boost::json::object{{"out", options.out}}, {}};
}

}  // namespace badged::ctl
