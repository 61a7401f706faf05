#include <charconv>

#include "daemon/front/http.h"

namespace badged::front {
namespace {

const char* reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

void append_number(std::string& out, std::size_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

}  // namespace

void write_response(const Response& response, bool keep_alive, std::string& out) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::size_t>(response.status));
  out += ' ';
  out += reason_phrase(response.status);
  out += "\r\nContent-Type: ";
  out += response.content_type;
  out += "\r\nContent-Length: ";
  append_number(out, response.body.size());
  if (response.no_store) out += "\r\nCache-Control: no-store";
  if (response.max_age > 0) {
    out += "\r\nCache-Control: public, max-age=";
    append_number(out, static_cast<std::size_t>(response.max_age));
  }
  if (response.retry_after > 0) {
    out += "\r\nRetry-After: ";
    append_number(out, static_cast<std::size_t>(response.retry_after));
  }
  if (!response.correlation_id.empty()) {
    out += "\r\nX-Correlation-Id: ";
    out += response.correlation_id;
  }
  if (!keep_alive) out += "\r\nConnection: close";
  out += "\r\n\r\n";
  out += response.body;
}

}  // namespace badged::front
