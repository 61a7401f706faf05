// Requests as text, and what the codec says of them.
#pragma once

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>
#include <string_view>

#include "daemon/front/http.h"
#include "daemon/front/limits.h"
#include "tests/front/calls.h"

namespace badged::test {

inline constexpr std::string_view kForm = "Content-Type: application/x-www-form-urlencoded";
inline constexpr std::string_view kJson = "Content-Type: application/json";

// With Host; with Content-Length where there is a body.
inline std::string request(std::string_view line,
                           std::initializer_list<std::string_view> headers = {},
                           std::string_view body = {}) {
  std::string out(line);
  out += " HTTP/1.1\r\nHost: localhost\r\n";
  for (const auto header : headers) out.append(header) += "\r\n";
  if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return (out += "\r\n").append(body);
}

inline std::string form(std::string_view body) {
  return request("POST /v1/token", {kForm}, body);
}

inline std::string json(std::string_view body) {
  return request("POST /v1/proof", {kJson}, body);
}

inline front::Outcome parse(std::string_view bytes, Socket socket = Socket::agent) {
  std::size_t scanned = 0;
  return front::parse_request(bytes, kCalls, socket, scanned);
}

inline front::Request accepted(std::string_view bytes, Socket socket = Socket::agent) {
  auto outcome = parse(bytes, socket);
  if (const auto* bad = std::get_if<front::BadRequest>(&outcome)) FAIL(bad->description);
  REQUIRE(std::holds_alternative<front::Parsed>(outcome));
  auto& parsed = std::get<front::Parsed>(outcome);
  CHECK(parsed.used == bytes.size());
  return std::move(parsed.request);
}

// "STATUS description"; "accepted" or "wants more" where it is no refusal.
inline std::string refusal(std::string_view bytes, Socket socket = Socket::agent) {
  const auto outcome = parse(bytes, socket);
  if (std::holds_alternative<front::Parsed>(outcome)) return "accepted";
  if (std::holds_alternative<front::NeedMore>(outcome)) return "wants more";
  const auto& bad = std::get<front::BadRequest>(outcome);
  CHECK(std::string_view(bad.error) == (bad.status == 404 ? "not_found" : "invalid_request"));
  return std::to_string(bad.status) + ' ' + bad.description;
}

inline std::string values_of(const front::Request& request, std::string_view name) {
  std::string out;
  for (const auto& field : request.fields)
    if (field.name == name) out += (out.empty() ? "" : "|") + field.value;
  return out;
}

}  // namespace badged::test
