#include "daemon/agents/grant_url.h"

#include <algorithm>
#include <utility>

#include "attest/jose/url.h"
#include "daemon/agents/diagnostic.h"

namespace badged::agents {
namespace {

// The host of a normalised http URL, with the brackets of IPv6.
std::string_view host_of(std::string_view url) {
  url.remove_prefix(std::string_view("http://").size());
  const auto authority = url.substr(0, url.find('/'));
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool is_this_host(std::string_view host) {
  const bool address = std::all_of(host.begin(), host.end(),
                                   [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
  return host == "localhost" || host == "[::1]" || (address && host.starts_with("127."));
}

}  // namespace

Result<std::string> grant_url(std::string_view text) {
  if (text.find('?') != std::string_view::npos) {
    return fail(Errc::malformed, "a URL with a query: " + quoted(text),
                "leave the query out: proofs are made for the path, whatever the query");
  }
  if (text.find('#') != std::string_view::npos) {
    return fail(Errc::malformed, "a URL with a fragment: " + quoted(text),
                "an absolute https URL without fragment and user");
  }
  auto url = attest::normalise_htu(text);
  if (!url) {
    return fail(Errc::malformed, "no usable URL: " + quoted(text) + ": " + url.error().what,
                url.error().hint.empty() ? "an absolute https URL without fragment and user"
                                         : url.error().hint);
  }
  if (url->starts_with("http://") && !is_this_host(host_of(*url))) {
    return fail(Errc::malformed, "a URL without TLS: " + quoted(text),
                "use https; http is for this host alone (127.0.0.1, [::1], localhost)");
  }
  return url;
}

bool lies_under(std::span<const std::string> bases, std::string_view url) {
  const auto normalised = attest::normalise_htu(url);
  if (!normalised) return false;
  return std::any_of(bases.begin(), bases.end(), [&](const std::string& base) {
    return attest::lies_under(*normalised, base);
  });
}

}  // namespace badged::agents
