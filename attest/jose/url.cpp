#include "attest/jose/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "attest/limits.h"

namespace badged::attest {

namespace {

Error bad_url(std::string_view why) {
  return fail(Errc::malformed, std::string("read a URL: ").append(why),
              "expected http or https, a host in ASCII, no user information");
}

// Not <cctype>: it follows the locale.
bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool is_unreserved(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view("-._~").find(c) != std::string_view::npos;
}

// pchar without escapes, and the slash (RFC 3986 3.3).
bool is_path_char(char c) {
  return is_unreserved(c) || std::string_view("!$&'()*+,;=:@/").find(c) != std::string_view::npos;
}

// 6.2.2.2: unreserved characters need no escape; the others keep it, in upper case.
std::optional<std::string> normal_escapes(std::string_view path) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      if (!is_path_char(path[i])) return std::nullopt;
      out += path[i];
      continue;
    }
    if (i + 2 >= path.size()) return std::nullopt;
    const int high = hex_value(path[i + 1]), low = hex_value(path[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    const char c = static_cast<char>(high * 16 + low);
    if (is_unreserved(c))
      out += c;
    else
      out.append({'%', kHex[high], kHex[low]});
    i += 2;
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// 5.2.4, for a path that is empty or begins with a slash.
std::string without_dot_segments(std::string_view path) {
  if (path.empty()) return "/";
  const auto segments = split(path.substr(1), '/');
  std::vector<std::string_view> kept;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    if (segments[i] == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segments[i] != ".") {
      kept.push_back(segments[i]);
      continue;
    }
    if (last) kept.push_back("");
  }
  std::string out;
  for (const auto segment : kept) out.append("/").append(segment);
  return out.empty() ? "/" : out;
}

std::optional<std::string> normal_ip6(std::string_view literal) {
  in6_addr address{};
  if (literal.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  if (inet_pton(AF_INET6, std::string(literal).c_str(), &address) != 1) return std::nullopt;
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(AF_INET6, &address, text, sizeof text) == nullptr) return std::nullopt;
  return std::string("[").append(text).append("]");
}

// A reg-name or IPv4 address of what DNS allows; other scripts come in their ASCII form (xn--).
std::optional<std::string> normal_host(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    return normal_ip6(host.substr(1, host.size() - 2));
  const bool plain = std::all_of(host.begin(), host.end(), is_unreserved);
  if (host.empty() || host.size() > 255 || host.front() == '.' || !plain) return std::nullopt;
  return lowered(host);
}

// "" and the default are left out; otherwise ":N" without leading zeros.
std::optional<std::string> normal_port(std::string_view port, bool https) {
  if (port.empty()) return std::string();
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (ec != std::errc() || end != port.data() + port.size() || value == 0 || value > 65535)
    return std::nullopt;
  if (value == (https ? 443u : 80u)) return std::string();
  return ":" + std::to_string(value);
}

Result<std::string> normal_authority(std::string_view authority, bool https) {
  if (authority.find('@') != std::string_view::npos) return bad_url("it holds user information");
  const auto bracket = authority.find(']');
  const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  auto host = normal_host(authority.substr(0, colon));
  if (!host) return bad_url("the host is not a name or address in ASCII");
  const auto port_text =
      colon == std::string_view::npos ? std::string_view() : authority.substr(colon + 1);
  auto port = normal_port(port_text, https);
  if (!port) return bad_url("the port is no number from 1 to 65535");
  return *host + *port;
}

// Where the path begins in a URL in normal form.
std::size_t path_start(std::string_view url) {
  const auto authority = url.find("://");
  return authority == std::string_view::npos ? url.size() : url.find('/', authority + 3);
}

// A segment that a careless server, decoding once more or dropping parameters, takes for "." or
// "..".
bool has_hidden_dots(std::string_view path) {
  std::string seen;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto escape = path.substr(i, 3);
    const bool slash = escape == "%2F" || escape == "%5C";
    seen += slash ? '/' : path[i];
    if (slash) i += 2;
  }
  for (const auto segment : split(seen, '/')) {
    const auto name = segment.substr(0, segment.find(';'));
    if (name == "." || name == "..") return true;
  }
  return false;
}

}  // namespace

Result<std::string> normalise_htu(std::string_view url) {
  if (url.size() > kUrlBytes) return bad_url("too long");
  url = url.substr(0, url.find_first_of("?#"));
  const auto mark = url.find("://");
  if (mark == std::string_view::npos) return bad_url("no scheme");
  const std::string scheme = lowered(url.substr(0, mark));
  const bool https = scheme == "https";
  if (!https && scheme != "http") return bad_url("neither http nor https");
  auto rest = url.substr(mark + 3);
  const auto slash = rest.find('/');
  auto authority = normal_authority(rest.substr(0, slash), https);
  if (!authority) return authority.error();
  auto path = normal_escapes(slash == std::string_view::npos ? "" : rest.substr(slash));
  if (!path) return bad_url("the path holds a character or an escape that no path has");
  return scheme + "://" + *authority + without_dot_segments(*path);
}

bool lies_under(std::string_view url, std::string_view base) {
  const auto at = path_start(url), base_at = path_start(base);
  if (at >= url.size() || base_at >= base.size()) return false;
  if (url.substr(0, at) != base.substr(0, base_at)) return false;
  const auto path = url.substr(at), under = base.substr(base_at);
  if (!path.starts_with(under) || has_hidden_dots(path)) return false;
  return path.size() == under.size() || under.back() == '/' || path[under.size()] == '/';
}

}  // namespace badged::attest
