#include "keystore/tpm/endorsement.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace badged::keystore::tpm {

namespace {

constexpr TPM2_HANDLE kFirstChainIndex = 0x01C00100;
constexpr TPM2_HANDLE kLastChainIndex = 0x01C001FF;

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

// NV space is often larger than the certificate: what follows the DER is padding (H22).
Bytes without_padding(const Bytes& content) {
  const unsigned char* end = content.data();
  const Certificate certificate(d2i_X509(nullptr, &end, static_cast<long>(content.size())),
                                X509_free);
  if (!certificate) return {};
  return Bytes(content.data(), end);
}

bool equal_number(const EVP_PKEY* key, const char* parameter, const BYTE* bytes, UINT16 size) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, parameter, &raw) != 1) return false;
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> theirs(raw, BN_free);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> ours(BN_bin2bn(bytes, size, nullptr), BN_free);
  return ours && BN_cmp(theirs.get(), ours.get()) == 0;
}

// Does the certificate speak of this key? Whether its issuer is to be trusted is a verifier's
// affair.
bool names_key(const Bytes& der, const TPMT_PUBLIC& area) {
  const unsigned char* at = der.data();
  const Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())), X509_free);
  const EVP_PKEY* key = certificate ? X509_get0_pubkey(certificate.get()) : nullptr;
  if (key == nullptr) return false;
  if (area.type == TPM2_ALG_RSA) {
    const auto& n = area.unique.rsa;
    return EVP_PKEY_is_a(key, "RSA") && equal_number(key, OSSL_PKEY_PARAM_RSA_N, n.buffer, n.size);
  }
  const auto& q = area.unique.ecc;
  return area.type == TPM2_ALG_ECC && EVP_PKEY_is_a(key, "EC") &&
         equal_number(key, OSSL_PKEY_PARAM_EC_PUB_X, q.x.buffer, q.x.size) &&
         equal_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, q.y.buffer, q.y.size);
}

// Annex B: a template in NV replaces the default one; in the low range a nonce fills `unique`.
Outcome<TPM2B_PUBLIC> effective_template(Device& device, const EndorsementTemplate& standard,
                                         std::span<const TPM2_HANDLE> indices) {
  const auto has = [indices](TPM2_HANDLE index) {
    return index != 0 && std::find(indices.begin(), indices.end(), index) != indices.end();
  };
  TPM2B_PUBLIC area = standard.area;
  if (has(standard.own_template)) {
    auto content = device.read_nv(standard.own_template);
    if (!content) return content.error();
    auto own = unmarshal_public_area(*content);
    if (!own) return own.error();
    area.publicArea = *own;
  }
  if (has(standard.nonce)) {
    auto nonce = device.read_nv(standard.nonce);
    if (!nonce) return nonce.error();
    const bool rsa = area.publicArea.type == TPM2_ALG_RSA;
    BYTE* unique = rsa ? area.publicArea.unique.rsa.buffer : area.publicArea.unique.ecc.x.buffer;
    const std::size_t room =
        rsa ? area.publicArea.unique.rsa.size : area.publicArea.unique.ecc.x.size;
    if (nonce->size() > room)
      return fault(Kind::refused, "read the endorsement key's nonce: it is too long");
    std::memcpy(unique, nonce->data(), nonce->size());
  }
  return area;
}

EndorsementKey from_loaded(const EndorsementTemplate& standard, const Device::Loaded& loaded) {
  EndorsementKey key;
  key.id = standard.id;
  // A template of its own may differ in this from the standard one.
  key.parent = {loaded.handle,
                (loaded.area.publicArea.objectAttributes & TPMA_OBJECT_USERWITHAUTH) == 0};
  key.area = loaded.area;
  key.name = loaded.name;
  return key;
}

// The key of a template. `certificate` (may be empty) tells without making it whether what is at
// the handle is the key: making RSA keys takes slow chips many seconds.
Outcome<EndorsementKey> make(Device& device, const EndorsementTemplate& standard,
                             std::span<const TPM2_HANDLE> indices, const Bytes& certificate) {
  auto occupied = device.exists(standard.persistent);
  if (!occupied) return occupied.error();
  Device::Loaded there;
  if (*occupied) {
    auto loaded = device.persistent(standard.persistent);
    if (!loaded) return loaded.error();
    there = std::move(*loaded);
    if (!certificate.empty() && names_key(certificate, there.area.publicArea))
      return from_loaded(standard, there);
  }
  auto area = effective_template(device, standard, indices);
  if (!area) return area.error();
  auto primary = create_primary(device, ESYS_TR_RH_ENDORSEMENT, *area);
  if (!primary) return primary.error();
  if (*occupied && there.name == primary->name) {
    device.flush(primary->handle);
    return from_loaded(standard, there);
  }
  if (!*occupied) {
    auto kept = persist(device, *primary, standard.persistent);
    if (!kept) return kept.error();
    return from_loaded(standard, *kept);
  }
  EndorsementKey key = from_loaded(standard, {primary->handle, primary->area, primary->name});
  key.transient = true;
  return key;
}

// The certificates that stand one after the other at the start of `content`.
std::vector<Bytes> split_certificates(const Bytes& content) {
  std::vector<Bytes> certificates;
  ByteView rest = content;
  while (!rest.empty() && certificates.size() < limits::kChainCertificates) {
    const unsigned char* end = rest.data();
    const Certificate certificate(d2i_X509(nullptr, &end, static_cast<long>(rest.size())),
                                  X509_free);
    if (!certificate) break;
    certificates.emplace_back(rest.data(), end);
    rest = rest.subspan(static_cast<std::size_t>(end - rest.data()));
  }
  return certificates;
}

// Why a hierarchy says no: somebody set a password on it, and badged has none to give.
Fault explain_refusal(Fault refused) {
  if (refused.kind == Kind::lost)
    refused = fault(Kind::failed, refused.error.what,
                    "if the owner or endorsement hierarchy has a password, clear it for enrolment "
                    "(tpm2_changeauth)");
  return refused;
}

}  // namespace

Outcome<Primary> create_primary(Device& device, ESYS_TR hierarchy, const TPM2B_PUBLIC& area) {
  const TPM2B_SENSITIVE_CREATE no_auth{};
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION no_pcrs{};
  Primary primary;
  Owned<TPM2B_PUBLIC> made;
  // The hierarchies' auth is empty and nothing here is secret: a password session will do.
  auto done = device.run("create a primary key", [&](ESYS_CONTEXT* esys) {
    TPM2B_PUBLIC* raw = nullptr;
    const TSS2_RC rc = Esys_CreatePrimary(esys, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                          ESYS_TR_NONE, &no_auth, &area, &outside, &no_pcrs,
                                          &primary.handle, &raw, nullptr, nullptr, nullptr);
    made.reset(raw);
    return rc;
  });
  if (!done) return explain_refusal(done.error());
  primary.area = *made;
  auto name = name_of(made->publicArea);
  if (!name) return name.error();
  primary.name = std::move(*name);
  return primary;
}

Outcome<Device::Loaded> persist(Device& device, const Primary& primary, TPM2_HANDLE handle) {
  auto done = device.run("keep a primary key", [&](ESYS_CONTEXT* esys) {
    ESYS_TR kept = ESYS_TR_NONE;
    return Esys_EvictControl(esys, ESYS_TR_RH_OWNER, primary.handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                             ESYS_TR_NONE, handle, &kept);
  });
  if (!done) return explain_refusal(done.error());
  device.flush(primary.handle);
  auto kept = device.persistent(handle);
  if (kept && kept->name != primary.name)
    return fault(Kind::lost, "keep a primary key: another one came back");
  return kept;
}

Outcome<EndorsementKey> choose_endorsement_key(Device& device) {
  auto indices = device.handles(0x01C00000);
  if (!indices) return indices.error();
  for (const auto& standard : endorsement_templates()) {
    if (std::find(indices->begin(), indices->end(), standard.certificate) == indices->end())
      continue;
    auto content = device.read_nv(standard.certificate);
    if (!content) return content.error();
    Bytes certificate = without_padding(*content);
    if (certificate.empty()) continue;
    auto key = make(device, standard, *indices, certificate);
    if (!key) return key;
    if (names_key(certificate, key->area.publicArea)) {
      key->certificate = std::move(certificate);
      return key;
    }
    if (key->transient) device.flush(key->parent.handle);
  }
  return open_endorsement_key(device, kPlainEndorsement);
}

Outcome<EndorsementKey> open_endorsement_key(Device& device, const std::string& id) {
  const auto templates = endorsement_templates();
  const auto standard = std::find_if(templates.begin(), templates.end(),
                                     [&id](const auto& each) { return each.id == id; });
  if (standard == templates.end())
    return fault(Kind::failed, "open the endorsement key: unknown template " + id);
  auto indices = device.handles(0x01C00000);
  if (!indices) return indices.error();
  Bytes certificate;
  if (std::find(indices->begin(), indices->end(), standard->certificate) != indices->end()) {
    auto content = device.read_nv(standard->certificate);
    if (!content) return content.error();
    certificate = without_padding(*content);
  }
  auto key = make(device, *standard, *indices, certificate);
  if (key && names_key(certificate, key->area.publicArea)) key->certificate = certificate;
  return key;
}

Outcome<std::vector<Bytes>> read_endorsement_chain(Device& device) {
  auto indices = device.handles(kFirstChainIndex);
  if (!indices) return indices.error();
  Bytes content;
  std::size_t read = 0;
  for (const TPM2_HANDLE index : *indices) {
    if (index > kLastChainIndex || read++ == limits::kChainIndices) break;
    auto piece = device.read_nv(index);
    // An index that this host may not read is as if it were not there.
    if (!piece && piece.error().kind == Kind::refused) break;
    if (!piece) return piece.error();
    content.insert(content.end(), piece->begin(), piece->end());
  }
  return split_certificates(content);
}

}  // namespace badged::keystore::tpm
