// What verifiers need of this issuer: the JWKS and the metadata (RFC 7517, RFC 8414), over the
// socket and as files that a web server can serve at the issuer's URL.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "attest/jose/access_token.h"
#include "attest/jose/jwk.h"
#include "daemon/tokens/issuing_keys.h"
#include "daemon/tokens/mint.h"
#include "keystore/store.h"

namespace badged::tokens {

// A web server reads these while they are replaced: the old file or the new, never a part. A
// directory that is absent is made, 0755. Waits for the disk.
Result<void> replace_public_file(const std::string& path, std::string_view content);

class Publisher {
 public:
  // `directory` is state_dir/publish; made with mode 0755, its files are world-readable.
  Publisher(Host host, std::string directory);

  // Rebuilds both documents from the keys and replaces the files atomically. The store's issuer key
  // is left out while the store has never been ready.
  Result<void> refresh(const IssuingKeys& keys, const keystore::Store& store);

  // False where a file was taken away since.
  bool stands() const;

  const std::string& jwks() const { return jwks_; }
  const std::string& metadata() const { return metadata_; }
  // Checks tokens of this issuer, with the keys of the last refresh; null before the first.
  const attest::TokenVerifier* verifier() const { return verifier_ ? &*verifier_ : nullptr; }

 private:
  const Host host_;
  const std::string directory_;
  std::string jwks_ = R"({"keys":[]})";
  std::string metadata_;
  std::optional<attest::TokenVerifier> verifier_;
};

}  // namespace badged::tokens
