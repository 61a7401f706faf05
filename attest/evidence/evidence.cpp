#include "attest/evidence/evidence.h"

#include "attest/jose/base64url.h"
#include "attest/limits.h"

namespace badged::attest {

namespace json = boost::json;
using tpm::AttestationKey;
using tpm::CertifiedKey;

namespace {

constexpr std::string_view kWhere = "the evidence's claims";

std::string about(std::string_view why) {
  return std::string("check the evidence: ").append(why);
}

Checked<CertifiedKey> verify_key(const AttestationKey& ak, const Records& records,
                                 const RecordKind& area, const RecordKind& attest,
                                 const RecordKind& signature, std::string_view check,
                                 Findings& findings) {
  auto certified = verify_certification(ak, {records[area], records[attest], records[signature]});
  if (!certified) return findings.fail(check, certified.error());
  findings.pass(check, tpm::hex(certified->name()));
  return certified;
}

// The issuer key signs the whole and is the one that `kid` names.
Checked<VerifiedJws> verify_whole(UnverifiedJws jws, const CertifiedKey& issuer,
                                  std::string& issuer_thumbprint, Findings& findings) {
  constexpr std::string_view kCheck = "signature";
  auto point = p256_key(issuer.area());
  if (!point) return findings.fail(kCheck, reject(Reason::algorithm, point.error()));
  issuer_thumbprint = thumbprint(*point);
  if (jws.header().kid != issuer_thumbprint)
    return findings.fail(kCheck,
                         reject(Reason::unknown_key, about("kid is not the certified issuer key")));
  auto whole = std::move(jws).verify_once(*point);
  if (!whole) return findings.fail(kCheck, whole.error());
  findings.pass(kCheck, issuer_thumbprint);
  return whole;
}

Checked<void> read_text(const json::object& claims, std::string_view name, std::string& into) {
  auto value = string_member(claims, name, kWhere);
  if (!value)
    return reject(claims.contains(name) ? Reason::bad_claim : Reason::missing_claim, value.error());
  if (value->empty() || value->size() > kUrlBytes)
    return reject(Reason::bad_claim, about(name) + " is empty or too long");
  into = *value;
  return {};
}

Checked<void> read_key(const json::object& claims, VerifiedClaims& out) {
  if (claims.contains("cnf")) {
    auto cnf = object_member(claims, "cnf", kWhere);
    if (!cnf) return reject(Reason::bad_claim, cnf.error());
    if (auto read = read_text(**cnf, "jkt", out.jkt); !read) return read;
    Digest digest;
    if (!decode_base64url(out.jkt, digest))
      return reject(Reason::bad_claim, about("cnf.jkt is no thumbprint"));
  }
  auto ours = object_member(claims, "badged", kWhere);
  if (!ours) return reject(Reason::missing_claim, ours.error());
  return read_text(**ours, "custody", out.custody);
}

Checked<VerifiedClaims> read_claims(const json::object& claims) {
  VerifiedClaims out;
  std::string nonce;
  for (const auto& [name, into] : {std::pair("eat_profile", &out.profile),
                                   std::pair("iss", &out.issuer), std::pair("sub", &out.subject),
                                   std::pair("aud", &out.audience), std::pair("eat_nonce", &nonce)})
    if (auto read = read_text(claims, name, *into); !read) return read.error();
  auto challenge = decode_base64url(nonce, kChallengeMax);
  if (!challenge || challenge->size() < kChallengeMin)
    return reject(Reason::bad_claim, about("eat_nonce is not base64url of 16 to 64 bytes"));
  out.challenge = std::move(*challenge);
  auto issued = integer_member(claims, "iat", kWhere);
  if (!issued || *issued < 0 || *issued > kLatestTime)
    return reject(Reason::bad_claim, about("iat is no time of ours"));
  out.issued_at = *issued;
  const auto expires = optional_time(claims, "exp", kWhere);
  const auto not_before = optional_time(claims, "nbf", kWhere);
  if (!expires) return reject(Reason::bad_claim, expires.error());
  if (!not_before) return reject(Reason::bad_claim, not_before.error());
  out.expires_at = *expires;
  out.not_before = *not_before;
  if (auto read = read_key(claims, out); !read) return read.error();
  return out;
}

}  // namespace

Checked<UnverifiedEvidence> UnverifiedEvidence::parse(std::string_view compact) {
  auto jws = UnverifiedJws::parse(compact, kEvidenceUse);
  if (!jws) return jws.error();
  auto claims = jws->unverified_claims();
  if (!claims) return claims.error();
  auto collection = object_member(**claims, kCmwClaim, "the evidence");
  if (!collection) return reject(Reason::malformed, collection.error());
  auto records = Records::parse(**collection);
  if (!records) return reject(Reason::malformed, records.error());
  for (const auto& kind :
       {kQuoteAttest, kQuoteSignature, kPcrs, kIssuerPublic, kIssuerAttest, kIssuerSignature})
    if (!records->has(kind))
      return reject(Reason::malformed, about("record missing: ").append(kind.label));
  const int of_session =
      records->has(kPopPublic) + records->has(kPopAttest) + records->has(kPopSignature);
  if (of_session != 0 && of_session != 3)
    return reject(Reason::malformed, about("the session key's certification is incomplete"));
  return UnverifiedEvidence(std::move(*jws), std::move(*records));
}

Checked<VerifiedEvidence> UnverifiedEvidence::verify(const AttestationKey& ak,
                                                     Findings& findings) && {
  auto quote =
      tpm::VerifiedQuote::verify(ak, records_[kQuoteAttest], records_[kQuoteSignature], findings);
  if (!quote) return quote.error();
  auto issuer = verify_key(ak, records_, kIssuerPublic, kIssuerAttest, kIssuerSignature,
                           "issuer_key", findings);
  if (!issuer) return issuer.error();
  VerifiedEvidence out(std::move(*quote), std::move(*issuer));
  auto whole = verify_whole(std::move(jws_), out.issuer_, out.issuer_thumbprint_, findings);
  if (!whole) return whole.error();
  if (records_.has(kPopPublic)) {
    auto session =
        verify_key(ak, records_, kPopPublic, kPopAttest, kPopSignature, "session_key", findings);
    if (!session) return session.error();
    out.session_ = std::move(*session);
  }
  auto claims = read_claims(whole->claims());
  if (!claims) return findings.fail("claims", claims.error());
  auto pcrs = tpm::PcrValues::parse(as_text(records_[kPcrs]));
  if (!pcrs)
    return findings.fail(
        "pcr_values",
        reject(pcrs.error().code == Errc::refused ? Reason::algorithm : Reason::malformed,
               pcrs.error()));
  out.claims_ = std::move(*claims);
  out.pcrs_ = std::move(*pcrs);
  out.records_ = std::move(records_);
  return out;
}

}  // namespace badged::attest
