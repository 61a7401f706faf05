#include "daemon/front/http.h"

#include <algorithm>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "daemon/front/body.h"
#include "daemon/front/limits.h"

namespace badged::front {
namespace {

namespace http = boost::beast::http;
using Header = http::request_parser<http::empty_body>;
using Fields = http::request<http::empty_body>;

constexpr std::string_view kHeaderEnd = "\r\n\r\n";

BadRequest bad(int status, std::string description) {
  return {status, "invalid_request", std::move(description)};
}

// Fields whose repetition makes two readers disagree about one request.
constexpr http::field kOnce[] = {http::field::host, http::field::content_length,
                                 http::field::content_type, http::field::authorization};

// RFC 9112 5.2. Beast joins such lines, and who stands before or behind may not.
bool has_fold(std::string_view header) {
  return header.find("\r\n ") != std::string_view::npos ||
         header.find("\r\n\t") != std::string_view::npos;
}

std::optional<BadRequest> check_header(const Fields& header) {
  if (header.version() != 11) return bad(505, "only HTTP/1.1 is served");
  if (static_cast<std::size_t>(std::distance(header.begin(), header.end())) >
      limits::kMaxHeaderFields)
    return bad(431, "too many header fields");
  if (header.count(http::field::transfer_encoding) > 0)
    return bad(411, "Transfer-Encoding is not accepted: send Content-Length");
  for (const auto field : kOnce)
    if (header.count(field) > 1)
      return bad(400, std::string(http::to_string(field)) + " is given twice");
  if (header.count(http::field::host) == 0) return bad(400, "Host is required (RFC 9112 3.2)");
  if (header.count(http::field::expect) > 0) return bad(417, "Expect is not supported");
  if (header.count(http::field::forwarded) > 0 || header.count("X-Forwarded-For") > 0)
    return bad(400, "the request was proxied: badged must see the agent's own connection");
  if (header.count("DPoP") > 0)
    return bad(400, "a DPoP header is refused here: badged holds the key, ask /v1/proof");
  return std::nullopt;
}

std::optional<std::size_t> body_length(const Fields& header) {
  const auto text = header[http::field::content_length];
  if (text.empty()) return 0;
  std::size_t length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || length > limits::kMaxBody) return std::nullopt;
    length = length * 10 + static_cast<std::size_t>(c - '0');
  }
  return length;
}

struct Target {
  std::string_view path;
  std::string_view query;
  bool has_query = false;
};

Target split_target(std::string_view target) {
  const auto mark = target.find('?');
  if (mark == std::string_view::npos) return {target, {}, false};
  return {target.substr(0, mark), target.substr(mark + 1), true};
}

bool serves(const CallShape& call, Socket socket) {
  return (static_cast<unsigned>(call.socket) & static_cast<unsigned>(socket)) != 0;
}

// "/v1/agents/" matches "/v1/agents/NAME": one segment of the characters that names have.
bool path_matches(const CallShape& call, std::string_view path, std::string_view& segment) {
  if (!call.path.ends_with('/')) return path == call.path;
  if (!path.starts_with(call.path)) return false;
  segment = path.substr(call.path.size());
  return !segment.empty() && std::all_of(segment.begin(), segment.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::variant<std::size_t, BadRequest> find_call(std::span<const CallShape> calls, Socket socket,
                                                http::verb verb, std::string_view path,
                                                std::string_view& segment) {
  bool path_known = false;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!serves(calls[i], socket) || !path_matches(calls[i], path, segment)) continue;
    path_known = true;
    const auto wanted = calls[i].method == Method::get ? http::verb::get : http::verb::post;
    if (verb == wanted) return i;
  }
  if (path_known) return bad(405, "this call needs another method");
  return BadRequest{404, "not_found", "no such call on this socket"};
}

// RFC 9111 5.2: a list of directives, names in any case, some with values.
bool asks_no_cache(const Fields& header) {
  const auto [begin, end] = header.equal_range(http::field::cache_control);
  return std::any_of(begin, end, [](const auto& field) {
    std::string_view rest(field.value().data(), field.value().size());
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      auto directive = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (directive.starts_with(' ') || directive.starts_with('\t')) directive.remove_prefix(1);
      while (directive.ends_with(' ') || directive.ends_with('\t')) directive.remove_suffix(1);
      if (boost::beast::iequals(directive, "no-cache")) return true;
    }
    return false;
  });
}

std::variant<Parsed, BadRequest> build_request(const Fields& header, std::string_view body,
                                               std::span<const CallShape> calls, Socket socket) {
  const std::string_view raw_target(header.target().data(), header.target().size());
  const auto target = split_target(raw_target);
  std::string_view segment;
  const auto call = find_call(calls, socket, header.method(), target.path, segment);
  if (const auto* refused = std::get_if<BadRequest>(&call)) return *refused;
  Parsed parsed;
  parsed.request.call = std::get<std::size_t>(call);
  parsed.request.keep_alive = header.keep_alive();
  parsed.request.no_cache = asks_no_cache(header);
  const auto& shape = calls[parsed.request.call];
  if (!segment.empty()) parsed.request.fields.push_back({"name", std::string(segment)});
  if (target.has_query && shape.body != BodyKind::query)
    return bad(400, "this call takes no query string");
  const std::string_view type(header[http::field::content_type].data(),
                              header[http::field::content_type].size());
  const auto source = shape.body == BodyKind::query ? target.query : body;
  if (shape.body == BodyKind::query && !body.empty()) return bad(400, "this call takes no body");
  if (auto refused = read_fields(shape, type, source, parsed.request.fields)) return *refused;
  return parsed;
}

}  // namespace

Outcome parse_request(std::string_view bytes, std::span<const CallShape> calls, Socket socket,
                      std::size_t& scanned) {
  const auto from = scanned < kHeaderEnd.size() ? 0 : scanned - kHeaderEnd.size() + 1;
  const auto end = bytes.substr(0, limits::kMaxHeader).find(kHeaderEnd, from);
  if (end == std::string_view::npos) {
    if (bytes.size() >= limits::kMaxHeader) return bad(431, "the header is too large");
    scanned = bytes.size();
    return NeedMore{bytes.size() + 1};
  }
  scanned = end;
  const auto header_size = end + kHeaderEnd.size();
  if (has_fold(bytes.substr(0, header_size))) return bad(400, "a header line is folded");
  Header parser;
  parser.header_limit(static_cast<std::uint32_t>(limits::kMaxHeader));
  parser.skip(true);
  boost::system::error_code error;
  const auto used = parser.put(boost::asio::buffer(bytes.data(), header_size), error);
  if (error || !parser.is_header_done() || used != header_size)
    return bad(400, "this is not an HTTP/1.1 request");
  const auto& header = parser.get();
  if (auto refused = check_header(header)) return *refused;
  const auto length = body_length(header);
  if (!length) return bad(413, "the body is too large or its length is not a number");
  if (*length > limits::kMaxBody) return bad(413, "the body is too large");
  if (bytes.size() < header_size + *length) return NeedMore{header_size + *length};
  auto built = build_request(header, bytes.substr(header_size, *length), calls, socket);
  if (auto* refused = std::get_if<BadRequest>(&built)) return std::move(*refused);
  auto& parsed = std::get<Parsed>(built);
  parsed.used = header_size + *length;
  return std::move(parsed);
}

bool decode_component(std::string_view text, std::string& out) {
  const auto hex = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  out.clear();
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return false;
      const int high = hex(text[i + 1]);
      const int low = hex(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return true;
}

}  // namespace badged::front
