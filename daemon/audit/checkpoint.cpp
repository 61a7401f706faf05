#include "daemon/audit/checkpoint.h"

#include "attest/jose/jws.h"
#include "attest/json/strict.h"

namespace badged::audit {
namespace {

constexpr attest::JwsUse kHeadUse{"audit head", "badged-audit-head+jwt"};

Error wrong(std::string_view why) {
  return fail(Errc::refused, "a checkpoint is not what it claims to be: " + std::string(why));
}

}  // namespace

std::string checkpoint_signing_input(std::string_view issuer, std::string_view key_thumbprint,
                                     const ChainLink& head, std::int64_t now) {
  std::string header = R"({"alg":"ES256","kid":")";
  header += key_thumbprint;
  header += R"(","typ":"badged-audit-head+jwt"})";
  std::string payload = "{\"iss\":";
  attest::append_json_string(payload, issuer);
  payload += ",\"seq\":" + std::to_string(head.seq) + ",\"hash\":\"" + to_hex(head.hash) +
             "\",\"iat\":" + std::to_string(now) + '}';
  std::string out;
  attest::append_signing_input(out, header, payload);
  return out;
}

Entry checkpoint_entry(const ChainLink& head, std::string_view jws) {
  Entry entry("checkpoint");
  entry.number("signed_seq", static_cast<std::int64_t>(head.seq));
  entry.text("signed_hash", to_hex(head.hash)).text("jws", jws);
  return entry;
}

Result<void> check_checkpoint(std::string_view line, const HashOf& hash_of,
                              const attest::Jwks& keys) {
  const auto object = attest::parse_strict_object(line);
  if (!object) return object.error();
  const auto text = attest::string_member(*object, "jws", "a checkpoint");
  const auto seq = attest::integer_member(*object, "signed_seq", "a checkpoint");
  const auto hash = attest::string_member(*object, "signed_hash", "a checkpoint");
  if (!text || !seq || !hash) return wrong("a member is missing");
  auto unverified = attest::UnverifiedJws::parse(*text, kHeadUse);
  if (!unverified) return wrong(unverified.error().what);
  const auto* key = keys.find(unverified->header().kid);
  if (key == nullptr) return fail(Errc::not_found, "check a checkpoint: its key is not known");
  const auto verified = std::move(*unverified).verify_once(key->key);
  if (!verified) return wrong(verified.error().what);
  const auto signed_seq = attest::integer_member(verified->claims(), "seq", "an audit head");
  const auto signed_hash = attest::string_member(verified->claims(), "hash", "an audit head");
  if (!signed_seq || !signed_hash || *signed_seq != *seq || *signed_hash != *hash)
    return wrong("what was signed is not what the line says");
  const auto stands = hash_of(static_cast<std::uint64_t>(*seq));
  if (!stands) return wrong("it names a line that does not come shortly before it");
  if (to_hex(*stands) != *hash)
    return wrong("line with seq " + std::to_string(*seq) +
                 " is another than the one that was signed");
  return ok();
}

}  // namespace badged::audit
