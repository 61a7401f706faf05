#include "daemon/calls/evidence_work.h"

#include "attest/evidence/format.h"
#include "attest/limits.h"
#include "daemon/audit/line.h"
#include "daemon/await.h"
#include "daemon/calls/limits.h"
#include "daemon/calls/pem.h"
#include "keystore/sha256.h"

namespace badged::calls {
namespace {

using boost::asio::awaitable;

// The key's own certificate, then those of its issuers that the TPM keeps.
std::string chain_of(const keystore::Identity& identity) {
  std::string chain;
  if (identity.ek_certificate.empty()) return chain;
  chain = certificate_pem(identity.ek_certificate);
  for (const auto& certificate : identity.ek_chain) chain += certificate_pem(certificate);
  return chain;
}

UnsignedEvidence encode(const EvidenceMaterial& material, const HostLogPaths& paths) {
  attest::EvidenceClaims claims;
  claims.issuer = material.issuer;
  claims.subject = material.subject;
  claims.audience = material.audience;
  claims.challenge = material.challenge;
  claims.issued_at = material.issued_at;
  if (material.session_jkt) claims.session_key = *material.session_jkt;
  claims.custody = material.custody;

  const auto event_log = read_host_log(paths.event_log, attest::kEventLogBytes);
  const auto ima_log = read_host_log(paths.ima_log, attest::kImaLogBytes);
  const auto pcrs = pcrs_json(material.quote.values);
  auto chain = chain_of(material.identity);

  attest::EvidenceParts parts;
  parts.quote_attest = material.quote.attest;
  parts.quote_signature = material.quote.signature;
  parts.pcrs = pcrs;
  parts.issuer = &material.issuer_certification;
  if (material.session_certification) parts.session_key = &*material.session_certification;
  parts.ak_public = material.identity.ak_public_area;
  parts.ek_public = material.identity.ek_public_area;
  if (chain.size() <= attest::kEkChainBytes) parts.ek_chain = chain;
  if (chain.empty() || chain.size() > attest::kEkChainBytes)
    parts.omitted.emplace_back(attest::kEkChain.label, chain.empty() ? "absent" : "too-large");
  parts.event_log = event_log.content;
  parts.ima_log = ima_log.content;
  if (event_log.omitted) parts.omitted.emplace_back(attest::kEventLog.label, event_log.omitted);
  if (ima_log.omitted) parts.omitted.emplace_back(attest::kImaLog.label, ima_log.omitted);

  UnsignedEvidence made;
  attest::append_signing_input(made.signing_input,
                               attest::evidence_header(material.issuer_thumbprint),
                               attest::evidence_payload(claims, parts));
  made.digest = keystore::sha256(as_bytes(made.signing_input));
  return made;
}

}  // namespace

EvidenceWork::EvidenceWork(boost::asio::io_context& io, HostLogPaths paths)
    : io_(io), paths_(std::move(paths)), workers_(1, limits::kEvidenceAtOnce) {}

std::size_t EvidenceWork::taken() const {
  std::size_t all = 0;
  for (const auto& [whose, count] : *places_) all += count;
  return all;
}

std::shared_ptr<const void> EvidenceWork::take_place(const std::string& whose) {
  const auto mine = places_->find(whose);
  if (taken() >= limits::kEvidenceAtOnce) return nullptr;
  if (mine != places_->end() && mine->second >= limits::kEvidenceAtOnceEach) return nullptr;
  ++(*places_)[whose];
  const auto give_back = [places = places_, whose](const void*) {
    const auto place = places->find(whose);
    if (--place->second == 0) places->erase(place);
  };
  return {this, give_back};
}

awaitable<Result<UnsignedEvidence>> EvidenceWork::assemble(EvidenceMaterial material) {
  auto shared = std::make_shared<const EvidenceMaterial>(std::move(material));
  co_return co_await await_answer<Result<UnsignedEvidence>>(
      io_, [&](Answer<Result<UnsignedEvidence>> done) {
        const bool queued =
            workers_.submit([this, shared, done] { done(encode(*shared, paths_)); });
        if (!queued) done(fail(Errc::busy, "assemble evidence: too much is under way"));
      });
}

std::string pcrs_json(const std::vector<keystore::PcrValue>& values) {
  std::string out = "{";
  std::optional<keystore::Bank> open;
  for (const auto& value : values) {
    if (open != value.bank) {
      if (open) out += "},";
      out += '"' + std::string(keystore::to_string(value.bank)) + "\":{";
      open = value.bank;
    } else {
      out += ',';
    }
    out += '"' + std::to_string(value.pcr) + "\":\"" + audit::to_hex(value.value) + '"';
  }
  return out + (open ? "}}" : "}");
}

}  // namespace badged::calls
