// The keys that sign tokens of the lower tiers: in locked memory, named by a statement of the
// store's issuer key, sealed by the store for restarts, rotated with overlap.
//
// One after the other, each key is published for a JWKS cache lifetime before it signs, signs for
// its lifetime, and stays published until the last token it signed has expired. Belongs to the I/O
// thread. The store is asked only when a key is made or read back, so issuance goes on while the
// TPM is away.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "attest/jose/jwk.h"
#include "keystore/memory_key.h"
#include "keystore/store.h"

namespace badged::tokens {

struct KeySchedule {
  std::chrono::seconds jwks_cache;  // published before first use for this long
  std::chrono::seconds lifetime;    // signs for this long
  std::chrono::seconds max_token;   // no token of it lives longer
};

class IssuingKey {
 public:
  std::string kid;
  std::string encoded_header;  // base64url of the token's header, and a dot
  keystore::MemoryKey key;
  std::string vouch;  // compact JWS by the store's issuer key
  Bytes sealed;
  std::int64_t created = 0;  // Unix times
  std::int64_t first_use = 0;
  std::int64_t last_use = 0;
  std::int64_t retire = 0;  // leaves the JWKS
};

class IssuingKeys {
 public:
  // `file` holds the sealed keys (state_dir/keys/issuing.json).
  IssuingKeys(boost::asio::io_context& io, keystore::Store& store, std::string file,
              KeySchedule schedule);

  // Reads the sealed keys back, or makes the first key where there is no file. Retry after a
  // failure (the TPM is away). A file that cannot be unsealed is an error, never a new key.
  boost::asio::awaitable<Result<void>> open(std::int64_t now);

  // Makes the next key when its time has come and drops retired ones. True: the JWKS changed.
  boost::asio::awaitable<Result<bool>> rotate(std::int64_t now);

  // The key that signs at `now`; null before open() succeeded, or when rotation has failed for so
  // long that no key is within its time (never an overdue key).
  const IssuingKey* current(std::int64_t now) const;

  // For the JWKS: every published key, with who vouches for it.
  std::vector<attest::JwksKey> published() const;

 private:
  boost::asio::awaitable<Result<IssuingKey>> make(std::int64_t first_use, std::int64_t now);
  boost::asio::awaitable<Result<IssuingKey>> restore(std::string_view sealed);
  boost::asio::awaitable<Result<std::string>> vouch_for(const IssuingKey& key);
  // Saves with this key, then holds it; after a failure all is as before.
  Result<void> keep(IssuingKey key, std::int64_t now);
  Result<void> save(std::int64_t now) const;  // without keys that have retired

  boost::asio::io_context& io_;
  keystore::Store& store_;
  const std::string file_;
  const KeySchedule schedule_;
  std::vector<IssuingKey> keys_;  // by first_use
};

// {"alg":"ES256","kid":…,"typ":"at+jwt"}
std::string token_header(std::string_view kid);

}  // namespace badged::tokens
