#include "keystore/sha256.h"

#include <openssl/evp.h>

#include <new>

namespace badged::keystore {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Digest sha256(ByteView data) {
  // SHA256() and EVP_Q_digest() of OpenSSL 3 fetch the algorithm anew at each call, which costs
  // more than hashing a token. A context that was set up once per thread does not.
  thread_local Sha256 hash;
  hash.update(data);
  const auto digest = hash.finish();
  hash.restart();
  return digest;
}

Sha256::Sha256() : state_(std::make_unique<State>()) {
  if (state_->context == nullptr || EVP_DigestInit_ex2(state_->context, EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc();
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::restart() {
  // No type: the one that the context has already.
  if (EVP_DigestInit_ex2(state_->context, nullptr, nullptr) != 1) throw std::bad_alloc();
}

Sha256& Sha256::update(ByteView data) {
  if (EVP_DigestUpdate(state_->context, data.data(), data.size()) != 1) throw std::bad_alloc();
  return *this;
}

Digest Sha256::finish() {
  Digest digest;
  if (EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) != 1) throw std::bad_alloc();
  return digest;
}

}  // namespace badged::keystore
