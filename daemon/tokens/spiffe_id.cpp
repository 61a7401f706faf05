#include "daemon/tokens/spiffe_id.h"

#include <algorithm>

namespace badged::tokens {
namespace {

constexpr std::string_view kScheme = "spiffe:";
constexpr std::size_t kMaxId = 2048;          // SPIFFE-ID 2.3
constexpr std::size_t kMaxTrustDomain = 255;  // the same

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

bool is_domain_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_domain(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTrustDomain &&
         std::all_of(text.begin(), text.end(), is_domain_char) && text.front() != '.' &&
         text.back() != '.' && text.find("..") == std::string_view::npos;
}

// Empty, or segments with a slash before each.
bool is_path(std::string_view path) {
  const auto fits = [](char c) { return is_domain_char(c) || is_upper(c); };
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const auto segment = path.substr(0, path.find('/'));
    const bool dots = segment == "." || segment == "..";
    if (segment.empty() || dots || !std::all_of(segment.begin(), segment.end(), fits)) return false;
    path.remove_prefix(segment.size());
  }
  return true;
}

}  // namespace

bool looks_like_spiffe_id(std::string_view text) {
  const auto equal = [](char a, char b) {
    return b == (is_upper(a) ? static_cast<char>(a + ('a' - 'A')) : a);
  };
  const auto head = text.substr(0, kScheme.size());
  return std::equal(head.begin(), head.end(), kScheme.begin(), kScheme.end(), equal);
}

std::optional<std::string_view> trust_domain_of(std::string_view id) {
  constexpr std::string_view kHead = "spiffe://";
  if (id.size() > kMaxId || !id.starts_with(kHead)) return std::nullopt;
  id.remove_prefix(kHead.size());
  const auto domain = id.substr(0, id.find('/'));
  if (!is_domain(domain) || !is_path(id.substr(domain.size()))) return std::nullopt;
  return domain;
}

}  // namespace badged::tokens
