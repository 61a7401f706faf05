#include "attest/jose/jwk.h"

#include <openssl/bn.h>

#include <algorithm>

#include "attest/jose/base64url.h"
#include "attest/json/strict.h"
#include "keystore/owned.h"
#include "keystore/sha256.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

using Number = Owned<BIGNUM, BN_free>;
using NumberContext = Owned<BN_CTX, BN_CTX_free>;

// SP 800-186, 3.2.1.3: p and b of P-256; a is -3.
constexpr std::uint8_t kPrime[32] = {
    0xff, 0xff, 0xff, 0xff, 0,    0,    0,    1,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::uint8_t kB[32] = {0x5a, 0xc6, 0x35, 0xd8, 0xaa, 0x3a, 0x93, 0xe7, 0xb3, 0xeb, 0xbd,
                                 0x55, 0x76, 0x98, 0x86, 0xbc, 0x65, 0x1d, 0x06, 0xb0, 0xcc, 0x53,
                                 0xb0, 0xf6, 0x3b, 0xce, 0x3c, 0x3e, 0x27, 0xd2, 0x60, 0x4b};

Number number(ByteView bytes) {
  return Number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

Error bad_key(std::string_view why) {
  return fail(Errc::malformed, std::string("read a JWK: ").append(why));
}

bool is_string(const json::object& from, std::string_view name, std::string_view value) {
  const auto* found = from.if_contains(name);
  return found != nullptr && found->is_string() && found->get_string() == value;
}

bool absent_or(const json::object& from, std::string_view name, std::string_view value) {
  return !from.contains(name) || is_string(from, name, value);
}

bool coordinate(const json::object& jwk, std::string_view name, std::span<std::uint8_t> out) {
  const auto* value = jwk.if_contains(name);
  return value != nullptr && value->is_string() && decode_base64url(value->get_string(), out);
}

// P-256 for ES256 signatures: the only kind that can verify anything here.
bool of_our_kind(const json::object& jwk) {
  return is_string(jwk, "kty", "EC") && is_string(jwk, "crv", "P-256") &&
         absent_or(jwk, "alg", "ES256") && is_for_verifying(jwk);
}

Result<Bytes> structure_member(const json::object& vouch, std::string_view name) {
  auto text = string_member(vouch, name, "badged_vouch");
  if (!text) return text.error();
  return decode_base64url(*text, kTpmStructureBytes);
}

Result<Vouch> read_vouch(const json::object& jwk) {
  const auto* found = jwk.if_contains("badged_vouch");
  if (found == nullptr) return Vouch{};
  if (const auto* jws = found->if_string()) return Vouch{std::string(jws->data(), jws->size())};
  const auto* object = found->if_object();
  if (object == nullptr) return bad_key("badged_vouch is neither a JWS nor an object");
  auto area = structure_member(*object, "public");
  if (!area) return area.error();
  auto attest = structure_member(*object, "attest");
  if (!attest) return attest.error();
  auto signature = structure_member(*object, "signature");
  if (!signature) return signature.error();
  return Vouch{
      keystore::Certification{std::move(*area), std::move(*attest), std::move(*signature)}};
}

Result<JwksKey> read_entry(const json::object& jwk) {
  auto key = public_key_from_jwk(jwk);
  if (!key) return key.error();
  auto kid = string_member(jwk, "kid", "a key of the set");
  if (!kid) return kid.error();
  if (kid->empty() || kid->size() > kKidBytes) return bad_key("kid is empty or too long");
  auto custody = optional_string(jwk, "badged_custody", "a key of the set");
  if (!custody) return custody.error();
  auto vouch = read_vouch(jwk);
  if (!vouch) return vouch.error();
  return JwksKey{std::string(*kid), *key, std::string(custody->value_or("")), std::move(*vouch)};
}

void append_vouch(std::string& out, const Vouch& vouch) {
  if (const auto* jws = std::get_if<std::string>(&vouch)) {
    out += ",\"badged_vouch\":";
    append_json_string(out, *jws);
  } else if (const auto* tpm = std::get_if<keystore::Certification>(&vouch)) {
    out += ",\"badged_vouch\":{\"public\":\"";
    append_base64url(out, tpm->public_area);
    out += "\",\"attest\":\"";
    append_base64url(out, tpm->attest);
    out += "\",\"signature\":\"";
    append_base64url(out, tpm->signature);
    out += "\"}";
  }
}

void append_entry(std::string& out, const JwksKey& entry) {
  append_jwk(out, entry.key);
  out.pop_back();  // the closing brace: more members follow
  out += ",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":";
  append_json_string(out, entry.kid);
  if (!entry.custody.empty()) {
    out += ",\"badged_custody\":";
    append_json_string(out, entry.custody);
  }
  append_vouch(out, entry.vouch);
  out += '}';
}

}  // namespace

bool has_private_member(const json::object& jwk) {
  constexpr std::string_view kPrivate[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
  return std::any_of(std::begin(kPrivate), std::end(kPrivate),
                     [&](std::string_view name) { return jwk.contains(name); });
}

bool is_for_verifying(const json::object& jwk) {
  if (!absent_or(jwk, "use", "sig")) return false;
  const auto* operations = jwk.if_contains("key_ops");
  if (operations == nullptr) return true;
  const auto* list = operations->if_array();
  return list != nullptr && std::any_of(list->begin(), list->end(), [](const json::value& one) {
           return one.is_string() && one.get_string() == "verify";
         });
}

bool on_curve(const PublicKey& key) {
  const NumberContext context(BN_CTX_new());
  const Number p = number(kPrime), b = number(kB), x = number(key.x), y = number(key.y);
  const Number left(BN_new()), right(BN_new()), three(BN_new());
  if (!context || !p || !b || !x || !y || !left || !right || !three) return false;
  if (BN_cmp(x.get(), p.get()) >= 0 || BN_cmp(y.get(), p.get()) >= 0) return false;
  // y^2 = x^3 - 3x + b = x (x^2 - 3) + b. The cofactor is 1: every point is in the group.
  return BN_set_word(three.get(), 3) == 1 &&
         BN_mod_sqr(left.get(), y.get(), p.get(), context.get()) == 1 &&
         BN_mod_sqr(right.get(), x.get(), p.get(), context.get()) == 1 &&
         BN_mod_sub(right.get(), right.get(), three.get(), p.get(), context.get()) == 1 &&
         BN_mod_mul(right.get(), right.get(), x.get(), p.get(), context.get()) == 1 &&
         BN_mod_add(right.get(), right.get(), b.get(), p.get(), context.get()) == 1 &&
         BN_cmp(left.get(), right.get()) == 0;
}

void append_jwk(std::string& out, const PublicKey& key) {
  out += R"({"crv":"P-256","kty":"EC","x":")";
  append_base64url(out, key.x);
  out += R"(","y":")";
  append_base64url(out, key.y);
  out += "\"}";
}

std::string thumbprint(const PublicKey& key) {
  std::string canonical;
  canonical.reserve(128);
  append_jwk(canonical, key);
  return base64url(keystore::sha256(as_bytes(canonical)));
}

Result<PublicKey> public_key_from_jwk(const json::object& jwk) {
  if (has_private_member(jwk)) return bad_key("it holds a private member");
  if (!of_our_kind(jwk)) return bad_key("not a P-256 key for ES256 signatures");
  PublicKey key;
  if (!coordinate(jwk, "x", key.x) || !coordinate(jwk, "y", key.y))
    return bad_key("a coordinate is not base64url of exactly 32 bytes");
  if (!on_curve(key)) return bad_key("the point is not on P-256");
  return key;
}

Result<Jwks> Jwks::parse(std::string_view text) {
  auto document = parse_strict_object(text, {.bytes = kJwksBytes});
  if (!document) return document.error();
  const auto* list = document->if_contains("keys");
  if (list == nullptr || !list->is_array()) return bad_key("a key set has an array `keys`");
  if (list->get_array().size() > kJwksKeys) return bad_key("the set holds too many keys");
  Jwks set({});
  for (const auto& value : list->get_array()) {
    if (!value.is_object()) return bad_key("a key of the set is not an object");
    const auto& jwk = value.get_object();
    if (has_private_member(jwk)) return bad_key("the set publishes a private or secret key");
    if (!of_our_kind(jwk)) continue;
    auto entry = read_entry(jwk);
    if (!entry) return entry.error();
    if (set.find(entry->kid) != nullptr) return bad_key("two keys of the set have the same kid");
    set.keys_.push_back(std::move(*entry));
  }
  return set;
}

const JwksKey* Jwks::find(std::string_view kid) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(),
                                  [&](const JwksKey& entry) { return entry.kid == kid; });
  return found == keys_.end() ? nullptr : &*found;
}

std::string Jwks::to_json() const {
  std::string out = "{\"keys\":[";
  for (const auto& entry : keys_) {
    if (out.back() == '}') out += ',';
    append_entry(out, entry);
  }
  return out += "]}";
}

}  // namespace badged::attest
