#include "attest/evidence/format.h"

#include "attest/jose/base64url.h"
#include "keystore/sha256.h"

namespace badged::attest {

namespace {

constexpr std::string_view kBindingDomain("badged-evidence-v1\0", 19);

void append_sized(Bytes& out, ByteView content) {
  const auto size = static_cast<std::uint32_t>(content.size());
  for (const int shift : {24, 16, 8, 0})
    out.push_back(static_cast<std::uint8_t>(size >> shift & 0xFF));
  out.insert(out.end(), content.begin(), content.end());
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
  out += ',';
}

void append_record(std::string& out, const RecordKind& kind, ByteView content) {
  if (content.empty()) return;
  append_json_string(out, kind.label);
  out += ":[";
  append_json_string(out, kind.media_type);
  out += ",\"";
  append_base64url(out, content);
  out.append("\",").append(std::to_string(kind.indicator)).append("],");
}

void append_certification(std::string& out, const keystore::Certification* certification,
                          const RecordKind& area, const RecordKind& attest,
                          const RecordKind& signature) {
  if (certification == nullptr) return;
  append_record(out, area, certification->public_area);
  append_record(out, attest, certification->attest);
  append_record(out, signature, certification->signature);
}

// The last member ended with a comma.
void close_object(std::string& out) {
  if (out.back() == ',') out.pop_back();
  out += '}';
}

void append_collection(std::string& out, const EvidenceParts& parts) {
  out += '{';
  append_record(out, kQuoteAttest, parts.quote_attest);
  append_record(out, kQuoteSignature, parts.quote_signature);
  append_record(out, kPcrs, as_bytes(parts.pcrs));
  append_certification(out, parts.issuer, kIssuerPublic, kIssuerAttest, kIssuerSignature);
  append_certification(out, parts.session_key, kPopPublic, kPopAttest, kPopSignature);
  append_record(out, kAkPublic, parts.ak_public);
  append_record(out, kEkPublic, parts.ek_public);
  append_record(out, kEkChain, as_bytes(parts.ek_chain));
  append_record(out, kEventLog, parts.event_log);
  append_record(out, kImaLog, parts.ima_log);
  close_object(out);
}

void append_ours(std::string& out, const EvidenceClaims& claims, const EvidenceParts& parts) {
  out += "\"badged\":{";
  append_member(out, "custody", claims.custody);
  if (!parts.omitted.empty()) {
    out += "\"omitted\":{";
    for (const auto& [label, reason] : parts.omitted) append_member(out, label, reason);
    close_object(out);
  }
  close_object(out);
}

}  // namespace

Digest evidence_binding(ByteView challenge, const Digest& thumbprint, std::string_view audience) {
  Bytes message(kBindingDomain.begin(), kBindingDomain.end());
  append_sized(message, challenge);
  message.insert(message.end(), thumbprint.begin(), thumbprint.end());
  append_sized(message, as_bytes(audience));
  return keystore::sha256(message);
}

Digest thumbprint_digest(const PublicKey& key) {
  Digest digest{};
  decode_base64url(thumbprint(key), digest);
  return digest;
}

std::string evidence_header(std::string_view issuer_thumbprint) {
  std::string out = R"({"typ":"eat+jwt","alg":"ES256","kid":)";
  append_json_string(out, issuer_thumbprint);
  return out += '}';
}

std::string evidence_payload(const EvidenceClaims& claims, const EvidenceParts& parts) {
  std::string out = "{";
  append_member(out, "eat_profile", kEvidenceProfile);
  append_member(out, "iss", claims.issuer);
  append_member(out, "sub", claims.subject);
  append_member(out, "aud", claims.audience);
  append_member(out, "eat_nonce", base64url(claims.challenge));
  out.append("\"iat\":").append(std::to_string(claims.issued_at)).append(",");
  if (claims.session_key) {
    out += "\"cnf\":{";
    append_member(out, "jkt", *claims.session_key);
    close_object(out);
    out += ',';
  }
  append_ours(out, claims, parts);
  out += ",\"cmw\":";
  append_collection(out, parts);
  return out += '}';
}

}  // namespace badged::attest
