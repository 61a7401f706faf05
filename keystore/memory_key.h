// A P-256 signing key in this process's locked memory (OpenSSL's secure heap).
//
// Used for the issuing key of the lower tiers and for their sessions' PoP keys. Move-only: the
// private scalar exists once and is wiped when the object is destroyed. A moved-from key may only
// be destroyed or assigned to. Not thread-safe: one thread uses a key at a time.
#pragma once

#include <memory>

#include "keystore/key.h"
#include "keystore/result.h"

namespace badged::keystore {

// Reserves `bytes` (a power of two) of locked, undumpable memory for private keys. Call once,
// before any key exists. Throws when the memory cannot be locked: an unlocked key would be a silent
// fallback (hint names LimitMEMLOCK). 32 bytes of it go to a key at rest, 96 to one that has
// signed; leave 64 kB for OpenSSL's own temporaries.
void reserve_locked_memory(std::size_t bytes);
std::size_t locked_memory_used();

class MemoryKey {
 public:
  static Result<MemoryKey> generate();
  // `scalar`: 32 bytes, big endian; the caller wipes its copy.
  static Result<MemoryKey> from_scalar(ByteView scalar);

  MemoryKey(MemoryKey&&) noexcept;
  MemoryKey& operator=(MemoryKey&&) noexcept;
  ~MemoryKey();

  const PublicKey& public_key() const;
  // About 21 us. The first signature after rest() costs about as much again: it makes what signing
  // needs, 2.7 kB of ordinary memory that holds no private scalar outside the locked heap.
  Result<Signature> sign(const Digest& digest) const;
  // The key for one signature, mostly on another thread, while this one goes on using and may
  // destroy it: the scalar lives as long as the last of them.
  class Lent;
  Result<Lent> lend() const;
  // Drops that memory, unless the key is lent; an idle key then costs about 200 bytes. For keys
  // that have not signed lately.
  void rest() const;
  // The scalar, for sealing only: 32 bytes in a buffer that wipes itself.
  struct Scalar;
  Result<std::unique_ptr<Scalar>> export_scalar() const;

 private:
  struct State;
  explicit MemoryKey(std::unique_ptr<State> state);
  std::shared_ptr<State> state_;
};

// Move-only.
class MemoryKey::Lent {
 public:
  Lent() = default;
  Lent(Lent&&) noexcept = default;
  Lent& operator=(Lent&& other) noexcept;
  ~Lent();

  // On the signer's thread: one for all lent keys.
  Result<Signature> sign(const Digest& digest) const;
  // On the owner's thread, which lent it.
  Result<Signature> sign_at_owner(const Digest& digest) const;

 private:
  friend class MemoryKey;
  explicit Lent(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

struct MemoryKey::Scalar {
  std::array<std::uint8_t, 32> bytes{};
  ~Scalar();  // OPENSSL_cleanse
};

}  // namespace badged::keystore
