// The key set of another issuer whose tokens are accepted as subjects (RFC 8693): keys of several
// kinds, each pinned to one algorithm.
//
// Built from a file that an admin put there, never fetched. Not thread-safe: one thread verifies
// with a set at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::attest {

// RFC 7518 3.1, RFC 8037 3.1. `none` and the HS family have no place here: their names are unknown.
enum class SubjectAlgorithm { es256, rs256, ps256, eddsa };
std::string_view to_string(SubjectAlgorithm algorithm);                         // "ES256", ...
std::optional<SubjectAlgorithm> subject_algorithm_from(std::string_view name);  // exact

class TrustedKey {
 public:
  const std::string& kid() const { return kid_; }
  SubjectAlgorithm algorithm() const { return algorithm_; }
  // False for a signature of another length than the key's, too.
  bool verify(ByteView message, ByteView signature) const;

  TrustedKey(TrustedKey&&) noexcept;
  TrustedKey& operator=(TrustedKey&&) noexcept;
  ~TrustedKey();

 private:
  friend class TrustedKeys;
  struct Handle;
  TrustedKey(std::string kid, SubjectAlgorithm algorithm, std::unique_ptr<Handle> handle);
  std::string kid_;
  SubjectAlgorithm algorithm_;
  std::unique_ptr<Handle> handle_;
};

class TrustedKeys {
 public:
  // One algorithm per key: what its `alg` says, else what its kind allows; for RSA without `alg`,
  // the one of RS256 and PS256 that is pinned. A key of another kind, of an algorithm that is not
  // pinned, or for encryption is left out. Refused: private or secret members anywhere, a usable
  // key without a kid or with a doubled one, a point off its curve, RSA below 2048 or above 4096
  // bits or with an even or huge exponent, more than kJwksKeys, and a set without a usable key.
  static Result<TrustedKeys> parse(std::string_view jwks, std::span<const SubjectAlgorithm> pinned);

  const TrustedKey* find(std::string_view kid) const;
  std::size_t size() const { return keys_.size(); }

 private:
  std::vector<TrustedKey> keys_;
};

}  // namespace badged::attest
