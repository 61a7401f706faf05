#include "daemon/tokens/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "daemon/peers/owned_fd.h"

namespace badged::tokens {
namespace {

Error file_error(const std::string& path, const char* call) {
  return fail(Errc::unavailable, "publish " + path + ": " + call + ": " + std::strerror(errno),
              "resource servers see what was published last, and refuse all tokens once its status "
              "list has expired: take away what is in the way of `publish` in the state directory, "
              "and give it room");
}

Result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return file_error(path, "mkdir");
  if (::chmod(path.c_str(), 0755) != 0) return file_error(path, "chmod");
  return ok();
}

// RFC 8414 2. The endpoints are served on the sockets of each host; the URLs name them for clients
// that look for the members, nothing is served there by badged.
std::string metadata_of(const Host& host) {
  const boost::json::object document{
      {"issuer", host.issuer},
      {"token_endpoint", host.issuer + "/v1/token"},
      {"jwks_uri", host.issuer + "/jwks.json"},
      {"grant_types_supported",
       {"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"}},
      {"response_types_supported", boost::json::array{}},
      {"token_endpoint_auth_methods_supported", {"none"}},
      {"revocation_endpoint", host.issuer + "/v1/revoke"},
      {"revocation_endpoint_auth_methods_supported", {"none"}},
      {"introspection_endpoint", host.issuer + "/v1/introspect"},
      {"introspection_endpoint_auth_methods_supported", {"none"}},
      {"dpop_signing_alg_values_supported", {"ES256"}}};
  return boost::json::serialize(document);
}

}  // namespace

Result<void> replace_public_file(const std::string& path, std::string_view content) {
  const auto temporary = path + ".new";
  const auto directory = path.substr(0, path.rfind('/'));
  // Of a directory that stands, the mode is refresh()'s matter.
  if (::access(directory.c_str(), F_OK) != 0)
    if (auto made = make_directory(directory); !made) return made;
  const peers::OwnedFd file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file) return file_error(temporary, "open");
  if (::fchmod(file.get(), 0644) != 0) return file_error(temporary, "chmod");
  while (!content.empty()) {
    const auto written = ::write(file.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error(temporary, "write");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.get()) != 0) return file_error(temporary, "fsync");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return file_error(path, "rename");
  return ok();
}

Publisher::Publisher(Host host, std::string directory)
    : host_(std::move(host)), directory_(std::move(directory)), metadata_(metadata_of(host_)) {}

Result<void> Publisher::refresh(const IssuingKeys& keys, const keystore::Store& store) {
  auto published = keys.published();
  if (const auto issuer = store.issuer()) {
    attest::JwksKey key{attest::thumbprint(issuer->public_key),
                        issuer->public_key,
                        keystore::to_string(issuer->custody),
                        {}};
    if (!issuer->certification.attest.empty()) key.vouch = issuer->certification;
    published.insert(published.begin(), std::move(key));
  }
  const attest::Jwks keys_now(std::move(published));
  auto verifier = attest::TokenVerifier::create(keys_now);
  if (!verifier) return verifier.error();
  verifier_ = std::move(*verifier);
  jwks_ = keys_now.to_json();
  if (auto made = make_directory(directory_); !made) return made;
  if (auto done = replace_public_file(directory_ + "/jwks.json", jwks_); !done) return done;
  return replace_public_file(directory_ + "/oauth-authorization-server", metadata_);
}

bool Publisher::stands() const {
  return ::access((directory_ + "/jwks.json").c_str(), F_OK) == 0 &&
         ::access((directory_ + "/oauth-authorization-server").c_str(), F_OK) == 0;
}

}  // namespace badged::tokens
