#include "attest/jose/jws.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "attest/jose/base64url.h"
#include "attest/openssl_errors.h"
#include "keystore/owned.h"
#include "keystore/sha256.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

// P-256 without a point. Building the curve is most of the cost of a key.
Key new_key() {
  char group[] = "P-256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                             OSSL_PARAM_construct_end()};
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* made = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_KEY_PARAMETERS, parameters) != 1)
    return nullptr;
  return Key(made);
}

// Refused by OpenSSL: a point that is not on the curve, a coordinate that is not below p.
bool set_point(EVP_PKEY* key, const PublicKey& point) {
  const ErrorsAsBefore errors;
  std::array<std::uint8_t, 65> octets;
  octets[0] = 4;  // uncompressed
  std::copy(point.x.begin(), point.x.end(), octets.begin() + 1);
  std::copy(point.y.begin(), point.y.end(), octets.begin() + 33);
  return EVP_PKEY_set1_encoded_public_key(key, octets.data(), octets.size()) == 1;
}

KeyContext ready_to_verify(EVP_PKEY* key) {
  KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (!context || EVP_PKEY_verify_init(context.get()) != 1) return nullptr;
  return context;
}

// DER INTEGER of 32 big endian bytes: no superfluous zeros, one where the top bit would mean minus.
std::size_t der_integer(std::span<const std::uint8_t, 32> value, std::uint8_t* out) {
  std::size_t skip = 0;
  while (skip < 31 && value[skip] == 0) ++skip;
  const bool pad = (value[skip] & 0x80) != 0;
  std::size_t n = 0;
  out[n++] = 0x02;
  out[n++] = static_cast<std::uint8_t>(32 - skip + (pad ? 1 : 0));
  if (pad) out[n++] = 0;
  for (std::size_t i = skip; i < 32; ++i) out[n++] = value[i];
  return n;
}

struct DerSignature {
  std::array<std::uint8_t, 72> bytes;  // 2 + 2 * (2 + 33)
  std::size_t size;
};

DerSignature to_der(const Signature& signature) {
  DerSignature der;
  const std::span<const std::uint8_t, 64> both(signature);
  std::size_t n = 2;
  n += der_integer(both.first<32>(), der.bytes.data() + n);
  n += der_integer(both.last<32>(), der.bytes.data() + n);
  der.bytes[0] = 0x30;
  der.bytes[1] = static_cast<std::uint8_t>(n - 2);
  der.size = n;
  return der;
}

bool holds(EVP_PKEY_CTX* key, const Digest& digest, const Signature& signature) {
  const ErrorsAsBefore errors;
  const auto der = to_der(signature);
  return EVP_PKEY_verify(key, der.bytes.data(), der.size, digest.data(), digest.size()) == 1;
}

// The thread keeps one key and moves its point: building one would add a third to the cost of the
// signature.
bool holds_once(const PublicKey& point, ByteView message, const Signature& signature) {
  thread_local Key key;
  if (!key) key = new_key();
  if (!key || !set_point(key.get(), point)) return false;
  const auto context = ready_to_verify(key.get());
  return context && holds(context.get(), keystore::sha256(message), signature);
}

std::string about(const JwsUse& use, std::string_view why) {
  return std::string("check the ").append(use.name).append(": ").append(why);
}

bool member_is(const json::object& header, std::string_view name, std::string_view value) {
  const auto* found = header.if_contains(name);
  return found != nullptr && found->is_string() && found->get_string() == value;
}

bool has_typ(const json::object& header, std::string_view typ) {
  return member_is(header, "typ", typ) ||
         member_is(header, "typ", std::string("application/").append(typ));
}

Checked<JwsHeader> read_header(const json::object& header, const JwsUse& use) {
  if (!member_is(header, "alg", "ES256"))
    return reject(Reason::algorithm, about(use, "alg is not ES256"),
                  "every key here is pinned to ES256; none, HS* and RS* are never accepted");
  if (!has_typ(header, use.typ))
    return reject(Reason::type, about(use, "typ is not ").append(use.typ),
                  "a token, a proof and a vouch are not interchangeable");
  if (header.contains("crit"))
    return reject(Reason::critical, about(use, "it needs an extension (crit)"));
  for (const std::string_view name : {"jku", "x5u", "x5c"})
    if (header.contains(name))
      return reject(Reason::foreign_key, about(use, "it brings its own key: ").append(name),
                    "keys come from the pinned key set alone");
  JwsHeader out;
  const auto* jwk = header.if_contains("jwk");
  if (!use.embedded_key && jwk != nullptr)
    return reject(Reason::foreign_key, about(use, "it brings its own key: jwk"),
                  "keys come from the pinned key set alone");
  if (use.embedded_key) {
    if (jwk == nullptr || !jwk->is_object())
      return reject(Reason::proof_key, about(use, "its header has no jwk"));
    auto key = public_key_from_jwk(jwk->get_object());
    if (!key) return reject(Reason::proof_key, about(use, key.error().what));
    out.embedded = *key;
  }
  auto kid = optional_string(header, "kid", "the header");
  if (!kid || kid->value_or("").size() > kKidBytes)
    return reject(Reason::malformed, about(use, "kid is not a short string"));
  out.kid = kid->value_or("");
  return out;
}

Checked<json::object> decode_part(std::string_view part, std::size_t max_bytes,
                                  const JsonLimits& limits, const JwsUse& use) {
  auto bytes = decode_base64url(part, max_bytes);
  if (!bytes) return reject(Reason::malformed, about(use, bytes.error().what));
  auto object = parse_strict_object(as_text(*bytes), limits);
  if (!object) return reject(Reason::malformed, about(use, object.error().what));
  return std::move(*object);
}

}  // namespace

struct Es256Verifier::State {
  PublicKey key;
  Key handle;
  KeyContext context;
};

Es256Verifier::Es256Verifier(std::unique_ptr<State> state) : state_(std::move(state)) {}
Es256Verifier::Es256Verifier(Es256Verifier&&) noexcept = default;
Es256Verifier& Es256Verifier::operator=(Es256Verifier&&) noexcept = default;
Es256Verifier::~Es256Verifier() = default;

Result<Es256Verifier> Es256Verifier::create(const PublicKey& key) {
  if (!on_curve(key)) return fail(Errc::malformed, "prepare a key: the point is not on P-256");
  auto state = std::make_unique<State>();
  state->key = key;
  state->handle = new_key();
  if (state->handle && set_point(state->handle.get(), key))
    state->context = ready_to_verify(state->handle.get());
  if (!state->context) return fail(Errc::internal, "prepare a key: OpenSSL refuses it");
  return Es256Verifier(std::move(state));
}

const PublicKey& Es256Verifier::key() const {
  return state_->key;
}

bool Es256Verifier::verify_digest(const Digest& digest, const Signature& signature) const {
  return holds(state_->context.get(), digest, signature);
}

bool Es256Verifier::verify(ByteView message, const Signature& signature) const {
  return verify_digest(keystore::sha256(message), signature);
}

Checked<UnverifiedJws> UnverifiedJws::parse(std::string_view compact, const JwsUse& use) {
  if (compact.size() > use.bytes) return reject(Reason::too_large, about(use, "too long"));
  const auto first = compact.find('.');
  const auto last = compact.rfind('.');
  if (first == last || compact.find('.', first + 1) != last)
    return reject(Reason::malformed, about(use, "not three parts with dots between"),
                  "expected a compact JWS: header.payload.signature");
  UnverifiedJws jws;
  jws.use_ = use;
  jws.signing_input_ = compact.substr(0, last);
  jws.payload_ = compact.substr(first + 1, last - first - 1);
  auto header = decode_part(compact.substr(0, first), kJwsHeaderBytes, {}, use);
  if (!header) return header.error();
  auto read = read_header(*header, use);
  if (!read) return read.error();
  jws.header_ = std::move(*read);
  if (!decode_base64url(compact.substr(last + 1), jws.signature_))
    return reject(Reason::malformed, about(use, "the signature is not base64url of 64 bytes"));
  return jws;
}

Checked<VerifiedJws> UnverifiedJws::verify(const Es256Verifier& key) && {
  return std::move(*this).accept(key.verify(as_bytes(signing_input_), signature_));
}

Checked<VerifiedJws> UnverifiedJws::verify_once(const PublicKey& key) && {
  return std::move(*this).accept(holds_once(key, as_bytes(signing_input_), signature_));
}

Checked<VerifiedJws> UnverifiedJws::accept(bool signature_holds) && {
  if (!signature_holds)
    return reject(Reason::signature, about(use_, "the signature does not verify"));
  if (auto parsed = unverified_claims(); !parsed) return parsed.error();  // not unverified any more
  return VerifiedJws(std::move(header_), std::move(*claims_));
}

Checked<const json::object*> UnverifiedJws::unverified_claims() {
  if (!claims_) {
    auto claims = decode_part(payload_, use_.bytes, use_.payload, use_);
    if (!claims) return claims.error();
    claims_ = std::move(*claims);
  }
  return &*claims_;
}

std::string encoded_header(std::string_view header) {
  std::string out = base64url(as_bytes(header));
  return out += '.';
}

void append_signing_input(std::string& out, std::string_view header, std::string_view payload) {
  append_base64url(out, as_bytes(header));
  out += '.';
  append_base64url(out, as_bytes(payload));
}

void append_signature(std::string& out, const Signature& signature) {
  out += '.';
  append_base64url(out, signature);
}

}  // namespace badged::attest
