#include "tests/keystore/support.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <iostream>

namespace badged::test {

using namespace keystore;

StateWatch::StateWatch(Store& store) {
  store.on_state([shared = shared_](const StoreState& state) {
    const std::lock_guard lock(shared->mutex);
    shared->told.push_back(state);
    shared->changed.notify_all();
  });
}

bool StateWatch::reaches(Condition condition) {
  std::unique_lock lock(shared_->mutex);
  const auto found = [&] {
    return std::find_if(shared_->told.begin(), shared_->told.end(),
                        [&](const StoreState& state) { return state.condition == condition; });
  };
  if (!shared_->changed.wait_for(lock, kPatience, [&] { return found() != shared_->told.end(); })) {
    for (const auto& state : shared_->told)
      std::cerr << "was told " << to_string(state.condition) << ": " << state.message << "\n";
    return false;
  }
  // Keep the one found: last() shows it.
  shared_->told.erase(shared_->told.begin(), found());
  StoreState reached = shared_->told.front();
  shared_->told.erase(shared_->told.begin());
  lock.unlock();
  reached_ = std::move(reached);
  return true;
}

StoreState StateWatch::last() const {
  return reached_;
}

Result<Signature> sign(Store& store, KeyId key, const Digest& digest, Caller caller) {
  return wait_for<Signature>(
      [&](Sink<Signature> done) { store.sign(key, digest, caller, std::move(done)); });
}

Result<StoredKey> create_key(Store& store, Caller caller) {
  return wait_for<StoredKey>(
      [&](Sink<StoredKey> done) { store.create_key(caller, std::move(done)); });
}

Result<Quote> quote(Store& store, QuoteAsk ask, Caller caller) {
  return wait_for<Quote>(
      [&](Sink<Quote> done) { store.quote(std::move(ask), caller, std::move(done)); });
}

Result<Bytes> seal(Store& store, ByteView secret) {
  return wait_for<Bytes>([&](Sink<Bytes> done) { store.seal(secret, std::move(done)); });
}

Result<Bytes> unseal(Store& store, ByteView blob) {
  return wait_for<Bytes>([&](Sink<Bytes> done) { store.unseal(blob, std::move(done)); });
}

void destroy(Store& store, KeyId key) {
  std::promise<void> flushed;
  store.destroy(key, [&flushed] { flushed.set_value(); });
  flushed.get_future().wait();
}

namespace {

template <class T>
using Held = std::unique_ptr<T, void (*)(T*)>;

Held<EVP_PKEY> to_pkey(const PublicKey& key) {
  Bytes point{4};
  point.insert(point.end(), key.x.begin(), key.x.end());
  point.insert(point.end(), key.y.begin(), key.y.end());
  const Held<OSSL_PARAM_BLD> build(OSSL_PARAM_BLD_new(), OSSL_PARAM_BLD_free);
  OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
  OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  const Held<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(build.get()), OSSL_PARAM_free);
  const Held<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr),
                                   EVP_PKEY_CTX_free);
  EVP_PKEY* pkey = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) == 1)
    EVP_PKEY_fromdata(context.get(), &pkey, EVP_PKEY_PUBLIC_KEY, parameters.get());
  return {pkey, EVP_PKEY_free};
}

}  // namespace

bool verifies(const PublicKey& key, const Digest& digest, const Signature& signature) {
  const Held<ECDSA_SIG> pair(ECDSA_SIG_new(), ECDSA_SIG_free);
  ECDSA_SIG_set0(pair.get(), BN_bin2bn(signature.data(), 32, nullptr),
                 BN_bin2bn(signature.data() + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  const Held<EVP_PKEY> pkey = to_pkey(key);
  const Held<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(pkey.get(), nullptr), EVP_PKEY_CTX_free);
  const bool good = pkey && EVP_PKEY_verify_init(context.get()) == 1 &&
                    EVP_PKEY_verify(context.get(), der, static_cast<std::size_t>(size),
                                    digest.data(), digest.size()) == 1;
  OPENSSL_free(der);
  return good;
}

}  // namespace badged::test
