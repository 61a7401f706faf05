#include "keystore/memory_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>

#include <atomic>
#include <cstring>

#include "keystore/owned.h"
#include "keystore/random.h"

namespace badged::keystore {

namespace {

using Pkey = Owned<EVP_PKEY, EVP_PKEY_free>;
using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using Number = Owned<BIGNUM, BN_clear_free>;

constexpr std::size_t kScalar = 32;
constexpr std::size_t kPoint = 65;  // 0x04 || x || y (SEC 1, 2.3.3)
using Point = std::array<std::uint8_t, kPoint>;

Error library_failed(const char* doing) {
  return fail(Errc::internal, std::string(doing) + ": OpenSSL failed");
}

// OpenSSL falls back to unlocked memory when there is no secure heap: refuse that here.
bool heap_ready() {
  return CRYPTO_secure_malloc_initialized() == 1;
}

void wipe_secure(std::uint8_t* scalar) {
  OPENSSL_secure_clear_free(scalar, kScalar);
}
using SecureScalar = Owned<std::uint8_t, wipe_secure>;

SecureScalar allocate_scalar() {
  return SecureScalar(static_cast<std::uint8_t*>(OPENSSL_secure_malloc(kScalar)));
}

Error heap_full() {
  return fail(Errc::exhausted, "make a key: the locked memory for keys is used up",
              "end sessions, or raise LimitMEMLOCK and the locked memory in the configuration");
}

Point encode(const PublicKey& key) {
  Point point;
  point[0] = POINT_CONVERSION_UNCOMPRESSED;
  std::memcpy(point.data() + 1, key.x.data(), key.x.size());
  std::memcpy(point.data() + 33, key.y.data(), key.y.size());
  return point;
}

PublicKey decode(const Point& point) {
  PublicKey key;
  std::memcpy(key.x.data(), point.data() + 1, key.x.size());
  std::memcpy(key.y.data(), point.data() + 33, key.y.size());
  return key;
}

// The public point of a scalar; also refuses 0 and values from the group's order on.
Result<PublicKey> derive_public(const std::uint8_t* scalar) {
  const Owned<EC_GROUP, EC_GROUP_free> group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  const Number d(BN_secure_new());
  if (!group || !d) return library_failed("derive a public key");
  if (BN_bin2bn(scalar, kScalar, d.get()) == nullptr) return heap_full();
  BN_set_flags(d.get(), BN_FLG_CONSTTIME);
  if (BN_is_zero(d.get()) || BN_cmp(d.get(), EC_GROUP_get0_order(group.get())) >= 0)
    return fail(Errc::malformed, "read a private key: the number is not in the group");
  const Owned<EC_POINT, EC_POINT_free> q(EC_POINT_new(group.get()));
  Point point;
  if (!q || EC_POINT_mul(group.get(), q.get(), d.get(), nullptr, nullptr, nullptr) != 1 ||
      EC_POINT_point2oct(group.get(), q.get(), POINT_CONVERSION_UNCOMPRESSED, point.data(), kPoint,
                         nullptr) != kPoint)
    return heap_full();  // the library's temporaries live there too; nothing else fails here
  return decode(point);
}

Pkey make_pkey(const std::uint8_t* scalar, const PublicKey& public_key) {
  const Number d(BN_secure_new());
  if (!d || BN_bin2bn(scalar, kScalar, d.get()) == nullptr) return nullptr;
  BN_set_flags(d.get(), BN_FLG_CONSTTIME);
  const Point point = encode(public_key);
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
  if (!build ||
      !OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ||
      !OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                        kPoint) ||
      !OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()))
    return nullptr;
  // A secure BIGNUM makes the parameters' copy secure too; OSSL_PARAM_free wipes it.
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(build.get()));
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* pkey = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &pkey, EVP_PKEY_KEYPAIR, parameters.get()) != 1)
    return nullptr;
  return Pkey(pkey);
}

// One DER INTEGER into 32 bytes, left padded. DER drops leading zeros and may add one.
const std::uint8_t* copy_integer(const std::uint8_t* der, std::uint8_t* out) {
  std::size_t size = der[1];
  const std::uint8_t* value = der + 2;
  if (value[0] == 0) ++value, --size;
  std::memset(out, 0, kScalar);
  std::memcpy(out + kScalar - size, value, size);
  return value + size;
}

// ECDSA-Sig-Value of P-256 (RFC 3279 2.2.3), as our own library made it: short lengths, no checks
// of foreign input needed.
Signature fixed_signature(const std::uint8_t* der) {
  Signature signature;
  const std::uint8_t* s = copy_integer(der + 2, signature.data());
  copy_integer(s, signature.data() + kScalar);
  return signature;
}

}  // namespace

void reserve_locked_memory(std::size_t bytes) {
  // 32 bytes is the smallest thing kept there: a P-256 scalar.
  if (CRYPTO_secure_malloc_init(bytes, kScalar) == 1) return;
  throw ErrorException(
      fail(Errc::unavailable, "lock memory for private keys: not permitted",
           "raise LimitMEMLOCK (ulimit -l) to at least " + std::to_string(bytes / 1024) + " kB"));
}

std::size_t locked_memory_used() {
  return CRYPTO_secure_used();
}

struct MemoryKey::State {
  SecureScalar scalar;
  PublicKey public_key;
  // What signing needs, about 2.7 kB: made at the first signature, dropped by rest(). The contexts
  // are of one thread each, the key is shared: OpenSSL counts and locks it.
  Pkey pkey;
  PkeyContext context;
  PkeyContext lent_context;
  std::atomic<int> lent{0};

  // Of the owner's thread.
  bool prepare() {
    if (!pkey) pkey = make_pkey(scalar.get(), public_key);
    return pkey != nullptr;
  }

  Result<Signature> sign_in(PkeyContext& place, const Digest& digest) {
    if (!place) {
      PkeyContext fresh(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey.get(), nullptr));
      if (!fresh || EVP_PKEY_sign_init(fresh.get()) != 1)
        return library_failed("prepare a key for signing");
      place = std::move(fresh);
    }
    std::array<std::uint8_t, 80> der;  // at most 72 bytes on P-256
    std::size_t size = der.size();
    if (EVP_PKEY_sign(place.get(), der.data(), &size, digest.data(), digest.size()) != 1)
      return library_failed("sign with a memory key");
    return fixed_signature(der.data());
  }
};

MemoryKey::MemoryKey(std::unique_ptr<State> state) : state_(std::move(state)) {}
MemoryKey::MemoryKey(MemoryKey&&) noexcept = default;
MemoryKey& MemoryKey::operator=(MemoryKey&&) noexcept = default;
MemoryKey::~MemoryKey() = default;
MemoryKey::Scalar::~Scalar() {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

// Testing candidates (FIPS 186-5 A.2.2): bytes go straight into the locked heap, and no copy of the
// scalar passes through a provider's parameters on the stack.
Result<MemoryKey> MemoryKey::generate() {
  if (!heap_ready()) return fail(Errc::internal, "make a key: no locked memory was reserved");
  auto state = std::make_unique<State>();
  state->scalar = allocate_scalar();
  if (!state->scalar) return heap_full();
  for (;;) {
    fill_private_random({state->scalar.get(), kScalar});
    auto public_key = derive_public(state->scalar.get());
    if (!public_key && public_key.error().code == Errc::malformed) continue;  // once in 2^32
    if (!public_key) return public_key.error();
    state->public_key = *public_key;
    return MemoryKey(std::move(state));
  }
}

Result<MemoryKey> MemoryKey::from_scalar(ByteView scalar) {
  if (!heap_ready()) return fail(Errc::internal, "make a key: no locked memory was reserved");
  if (scalar.size() != kScalar)
    return fail(Errc::malformed, "read a private key: it is not 32 bytes");
  auto state = std::make_unique<State>();
  state->scalar = allocate_scalar();
  if (!state->scalar) return heap_full();
  std::memcpy(state->scalar.get(), scalar.data(), kScalar);
  auto public_key = derive_public(state->scalar.get());
  if (!public_key) return public_key.error();
  state->public_key = *public_key;
  return MemoryKey(std::move(state));
}

const PublicKey& MemoryKey::public_key() const {
  return state_->public_key;
}

Result<Signature> MemoryKey::sign(const Digest& digest) const {
  if (!state_->prepare()) return library_failed("prepare a key for signing");
  return state_->sign_in(state_->context, digest);
}

Result<MemoryKey::Lent> MemoryKey::lend() const {
  if (!state_->prepare()) return library_failed("prepare a key for signing");
  return Lent(state_);
}

void MemoryKey::rest() const {
  if (state_->lent != 0) return;
  state_->context.reset();
  state_->lent_context.reset();
  state_->pkey.reset();
}

MemoryKey::Lent::Lent(std::shared_ptr<State> state) : state_(std::move(state)) {
  ++state_->lent;
}

MemoryKey::Lent& MemoryKey::Lent::operator=(Lent&& other) noexcept {
  const Lent old(std::move(*this));
  state_ = std::move(other.state_);
  return *this;
}

MemoryKey::Lent::~Lent() {
  if (state_) --state_->lent;
}

Result<Signature> MemoryKey::Lent::sign(const Digest& digest) const {
  return state_->sign_in(state_->lent_context, digest);
}

Result<Signature> MemoryKey::Lent::sign_at_owner(const Digest& digest) const {
  return state_->sign_in(state_->context, digest);
}

Result<std::unique_ptr<MemoryKey::Scalar>> MemoryKey::export_scalar() const {
  auto scalar = std::make_unique<Scalar>();
  std::memcpy(scalar->bytes.data(), state_->scalar.get(), kScalar);
  return scalar;
}

}  // namespace badged::keystore
