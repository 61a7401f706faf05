#include "attest/jose/vouch.h"

namespace badged::attest {

static std::string about(std::string_view why) {
  return std::string("check the vouch: ").append(why);
}

std::string vouch_header(std::string_view issuer_thumbprint) {
  std::string out = R"({"typ":"badged-vouch+jwt","alg":"ES256","kid":)";
  append_json_string(out, issuer_thumbprint);
  return out += '}';
}

std::string vouch_payload(const VouchClaims& claims) {
  std::string out = "{\"jkt\":";
  append_json_string(out, claims.key_thumbprint);
  out += ",\"custody\":";
  append_json_string(out, claims.custody);
  out.append(",\"iat\":").append(std::to_string(claims.issued_at));
  out.append(",\"exp\":").append(std::to_string(claims.expires_at));
  return out += '}';
}

Checked<VerifiedVouch> verify_vouch(std::string_view compact, const Es256Verifier& issuer,
                                    std::string_view key_thumbprint, std::int64_t now) {
  auto unverified = UnverifiedJws::parse(compact, kVouchUse);
  if (!unverified) return unverified.error();
  if (unverified->header().kid != thumbprint(issuer.key()))
    return reject(Reason::unknown_key, about("it is by another key"));
  auto jws = std::move(*unverified).verify(issuer);
  if (!jws) return jws.error();
  const auto& claims = jws->claims();
  auto jkt = string_member(claims, "jkt", "the vouch");
  if (!jkt) return reject(Reason::bad_claim, about(jkt.error().what));
  if (*jkt != key_thumbprint) return reject(Reason::binding, about("it names another key"));
  auto custody = string_member(claims, "custody", "the vouch");
  if (!custody) return reject(Reason::bad_claim, about(custody.error().what));
  auto issued = integer_member(claims, "iat", "the vouch");
  if (!issued) return reject(Reason::bad_claim, about(issued.error().what));
  if (*issued > now + kFutureLeeway)
    return reject(Reason::not_yet_valid, about("it was made in the future"));
  auto expires = integer_member(claims, "exp", "the vouch");
  if (!expires || *expires > kLatestTime)
    return reject(Reason::bad_claim, about("`exp` is no time of ours"));
  if (*expires <= now) return reject(Reason::expired, about("it has expired"));
  return VerifiedVouch{std::string(*custody), *expires};
}

}  // namespace badged::attest
