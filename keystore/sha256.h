// SHA-256 (FIPS 180-4), the only digest of the project's own formats.
#pragma once

#include <memory>

#include "keystore/bytes.h"

namespace badged::keystore {

// Throws std::bad_alloc when OpenSSL has no memory; nothing else can fail.
Digest sha256(ByteView data);

// For data that comes in pieces. After finish() only restart() and
// destruction are allowed.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& update(ByteView data);
  Digest finish();
  void restart();  // cheaper than a new object

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace badged::keystore
