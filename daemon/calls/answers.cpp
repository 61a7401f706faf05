#include "daemon/calls/answers.h"

#include "attest/json/strict.h"

namespace badged::calls {

front::Response problem(const Problem& problem, const std::string& correlation_id) {
  front::Response response;
  response.status = problem.status;
  response.no_store = true;
  response.retry_after = problem.retry_after;
  response.correlation_id = correlation_id;
  auto& body = response.body;
  body = R"({"error":)";
  attest::append_json_string(body, problem.code);
  body += R"(,"error_description":)";
  attest::append_json_string(body, problem.description);
  if (!problem.hint.empty()) {
    body += R"(,"hint":)";
    attest::append_json_string(body, problem.hint);
  }
  if (!problem.refused_by.empty()) {
    body += R"(,"refused_by":)";
    attest::append_json_string(body, problem.refused_by);
  }
  body += R"(,"correlation_id":)";
  attest::append_json_string(body, correlation_id);
  body += '}';
  return response;
}

front::Response answer(std::string body, const std::string& correlation_id) {
  front::Response response;
  response.body = std::move(body);
  response.no_store = true;
  response.correlation_id = correlation_id;
  return response;
}

Problem unavailable(const Error& error) {
  const bool busy = error.code == Errc::busy;
  return {503, "temporarily_unavailable",
          busy ? "badged has too much to do right now" : "badged cannot do this right now",
          busy ? "try again after Retry-After seconds"
               : "ask the host's admin to look at `badgectl status` and the journal",
          busy ? 1 : 0};
}

int status_of(policy::DenialCode code) {
  switch (code) {
    case policy::DenialCode::temporarily_unavailable:
      return 503;
    case policy::DenialCode::unauthorized_client:
      return 403;
    default:
      return 400;
  }
}

}  // namespace badged::calls
