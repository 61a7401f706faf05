#include "attest/tpm/certify.h"

#include <algorithm>

#include "attest/tpm/ak_key.h"
#include "attest/tpm/digest.h"
#include "attest/tpm/public_key_file.h"
#include "attest/tpm/reader.h"

namespace badged::attest::tpm {

namespace {

// Part 1, 23.4.3 and wire rules: an attestation key signs only what its TPM made itself.
constexpr std::uint32_t kAkAttributes = attribute::restricted | attribute::sign |
                                        attribute::fixed_tpm | attribute::fixed_parent |
                                        attribute::sensitive_data_origin;
constexpr std::uint32_t kCertifiedAttributes = attribute::sign | attribute::fixed_tpm |
                                               attribute::fixed_parent |
                                               attribute::sensitive_data_origin;

std::string about(std::string_view why) {
  return std::string("check the TPM's statement: ").append(why);
}

}  // namespace

struct AttestationKey::State {
  AkKey key;
  SigningScheme scheme;  // null where the key leaves it open
  Bytes name;
};

AttestationKey::AttestationKey(std::unique_ptr<State> state) : state_(std::move(state)) {}
AttestationKey::AttestationKey(AttestationKey&&) noexcept = default;
AttestationKey& AttestationKey::operator=(AttestationKey&&) noexcept = default;
AttestationKey::~AttestationKey() = default;

Checked<AttestationKey> AttestationKey::from_public_area(ByteView tpmt_public) {
  auto area = parse_public_area(tpmt_public);
  if (!area)
    return reject(area.error().code == Errc::refused ? Reason::not_attested : Reason::malformed,
                  area.error());
  if (!area->has(kAkAttributes) || area->has(attribute::decrypt))
    return reject(Reason::not_attested,
                  about("the key is no attestation key: restricted, sign, fixedTPM, fixedParent "
                        "and sensitiveDataOrigin must be set, decrypt clear"),
                  "a key without these signs anything, or may live elsewhere");
  if (area->scheme.hash == Alg::sha1 || area->name_alg == Alg::sha1)
    return reject(Reason::algorithm, about("the attestation key uses SHA-1"));
  auto key = AkKey::from_area(*area);
  if (!key) return reject(Reason::not_attested, key.error());
  auto name = compute_name(tpmt_public);
  if (!name) return reject(Reason::algorithm, name.error());
  return AttestationKey(
      std::make_unique<State>(State{std::move(*key), area->scheme, std::move(*name)}));
}

Checked<AttestationKey> AttestationKey::from_key(const keystore::PublicKey& point) {
  auto key = AkKey::from_point(point);
  if (!key) return reject(Reason::not_attested, key.error());
  return AttestationKey(std::make_unique<State>(State{std::move(*key), SigningScheme{}, {}}));
}

Checked<AttestationKey> AttestationKey::from_file(ByteView content) {
  const auto u16 = [&](std::size_t at) { return content[at] << 8 | content[at + 1]; };
  // TPM2B_PUBLIC: the size of what follows, then TPMT_PUBLIC. The latter alone begins with its
  // type, 1 or 35, and is longer than that.
  if (content.size() >= 4 && static_cast<std::size_t>(u16(0)) + 2 == content.size() &&
      content[2] == 0)
    return from_public_area(content.subspan(2));
  if (content.size() >= 4 && content[0] == 0) return from_public_area(content);
  auto decoded = read_public_key(content);
  if (!decoded) return reject(Reason::malformed, decoded.error());
  auto key = AkKey::from_openssl(**decoded);
  if (!key) return reject(Reason::not_attested, key.error());
  return AttestationKey(std::make_unique<State>(State{std::move(*key), SigningScheme{}, {}}));
}

const Bytes& AttestationKey::name() const {
  return state_->name;
}

const Digest& AttestationKey::fingerprint() const {
  return state_->key.fingerprint();
}

Checked<SigningScheme> AttestationKey::verify(ByteView message, ByteView signature) const {
  auto parsed = parse_signature(signature);
  if (!parsed && parsed.error().code == Errc::refused)
    return reject(Reason::algorithm, parsed.error());
  if (!parsed)
    return reject(Reason::malformed, parsed.error().what,
                  "a TPMT_SIGNATURE, as tpm2_quote -s writes it without -f plain");
  const SigningScheme& pinned = state_->scheme;
  if (accepted_digest(parsed->scheme.hash) == nullptr)
    return reject(Reason::algorithm,
                  about("the signature's hash is not SHA-256, SHA-384 or SHA-512"));
  if (pinned.scheme != Alg::null &&
      (pinned.scheme != parsed->scheme.scheme || pinned.hash != parsed->scheme.hash))
    return reject(Reason::algorithm, about("the signature's scheme is not the key's"));
  if (!state_->key.verify(message, *parsed))
    return reject(Reason::signature, about("the attestation key's signature does not verify"),
                  "another key's, or other bytes: it covers a TPMS_ATTEST without the size that a "
                  "TPM2B_ATTEST begins with");
  return parsed->scheme;
}

Checked<VerifiedAttest> VerifiedAttest::verify(const AttestationKey& ak, ByteView attest,
                                               ByteView signature) {
  auto scheme = ak.verify(attest, signature);
  if (!scheme) return scheme.error();
  if (attest.size() >= 4 && Reader(attest).u32() != kGeneratedValue)
    return reject(Reason::not_attested, about("no TPM made it: the magic is wrong"));
  return VerifiedAttest(attest, *scheme);
}

Checked<Attest> VerifiedAttest::as(AttestType wanted) const {
  if (const auto type = attest_type(bytes_); type && *type != wanted)
    return reject(Reason::not_attested, about("it is ")
                                            .append(attest_type_name(*type))
                                            .append(", not ")
                                            .append(attest_type_name(wanted)));
  auto parsed = parse_attest(bytes_);
  if (!parsed) return reject(Reason::malformed, parsed.error());
  return std::move(*parsed);
}

Checked<CertifiedKey> verify_certification(const AttestationKey& ak,
                                           const keystore::Certification& certification,
                                           std::optional<ByteView> extra_data) {
  auto verified = VerifiedAttest::verify(ak, certification.attest, certification.signature);
  if (!verified) return verified.error();
  auto attest = verified->as(AttestType::certify);
  if (!attest) return attest.error();
  if (extra_data && !std::ranges::equal(attest->extra_data, *extra_data))
    return reject(Reason::not_attested, about("its extra data is another"));
  auto name = compute_name(certification.public_area);
  if (!name) return reject(Reason::malformed, name.error());
  if (*name != std::get<CertifyInfo>(attest->body).name)
    return reject(Reason::not_attested, about("it is about another key: the Name differs"));
  auto area = parse_public_area(certification.public_area);
  if (!area) return reject(Reason::malformed, area.error());
  if (!area->has(kCertifiedAttributes))
    return reject(Reason::not_attested,
                  about("the key may leave its TPM: sign, fixedTPM, fixedParent and "
                        "sensitiveDataOrigin must be set"));
  return CertifiedKey(std::move(*area), std::move(*name), std::move(*attest));
}

}  // namespace badged::attest::tpm
