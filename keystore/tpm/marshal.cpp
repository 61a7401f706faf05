#include "keystore/tpm/marshal.h"

#include <openssl/evp.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include <cstring>

namespace badged::keystore::tpm {

namespace {

template <class T, class F>
Bytes marshal_with(F function, const T& value) {
  Bytes out(sizeof(T) + 16);
  size_t size = 0;
  if (function(&value, out.data(), out.size(), &size) != TSS2_RC_SUCCESS)
    throw std::logic_error("marshal a TPM structure that we made");
  out.resize(size);
  return out;
}

template <class T, class F>
Outcome<T> unmarshal_with(F function, ByteView bytes, const char* doing) {
  T value{};
  size_t size = 0;
  if (function(bytes.data(), bytes.size(), &size, &value) != TSS2_RC_SUCCESS ||
      size != bytes.size())
    return Fault{Kind::refused, fail(Errc::malformed, std::string(doing) + ": malformed")};
  return value;
}

template <std::size_t N>
bool pad_left(const std::uint8_t* from, std::size_t size, std::array<std::uint8_t, N>& to) {
  if (size > N) return false;
  to.fill(0);
  std::memcpy(to.data() + N - size, from, size);
  return true;
}

}  // namespace

void esys_free(void* p) {
  Esys_Free(p);
}

Bytes marshal(const TPM2B_PUBLIC& value) {
  return marshal_with(Tss2_MU_TPM2B_PUBLIC_Marshal, value);
}
Bytes marshal(const TPM2B_PRIVATE& value) {
  return marshal_with(Tss2_MU_TPM2B_PRIVATE_Marshal, value);
}
Bytes marshal(const TPMT_PUBLIC& value) {
  return marshal_with(Tss2_MU_TPMT_PUBLIC_Marshal, value);
}
Bytes marshal(const TPMT_SIGNATURE& value) {
  return marshal_with(Tss2_MU_TPMT_SIGNATURE_Marshal, value);
}
Bytes marshal(const TPML_PCR_SELECTION& value) {
  return marshal_with(Tss2_MU_TPML_PCR_SELECTION_Marshal, value);
}

Outcome<TPM2B_PUBLIC> unmarshal_public(ByteView bytes) {
  return unmarshal_with<TPM2B_PUBLIC>(Tss2_MU_TPM2B_PUBLIC_Unmarshal, bytes, "read a public area");
}
Outcome<TPM2B_PRIVATE> unmarshal_private(ByteView bytes) {
  return unmarshal_with<TPM2B_PRIVATE>(Tss2_MU_TPM2B_PRIVATE_Unmarshal, bytes,
                                       "read a wrapped private key");
}
Outcome<TPMT_PUBLIC> unmarshal_public_area(ByteView bytes) {
  return unmarshal_with<TPMT_PUBLIC>(Tss2_MU_TPMT_PUBLIC_Unmarshal, bytes, "read a template");
}

Outcome<Bytes> name_of(const TPMT_PUBLIC& area) {
  const EVP_MD* hash = area.nameAlg == TPM2_ALG_SHA256   ? EVP_sha256()
                       : area.nameAlg == TPM2_ALG_SHA384 ? EVP_sha384()
                       : area.nameAlg == TPM2_ALG_SHA512 ? EVP_sha512()
                                                         : nullptr;
  if (hash == nullptr) return fault(Kind::refused, "name a TPM object: its hash is not supported");
  const Bytes bytes = marshal(area);
  Bytes name(2 + EVP_MD_get_size(hash));
  name[0] = static_cast<std::uint8_t>(area.nameAlg >> 8);
  name[1] = static_cast<std::uint8_t>(area.nameAlg);
  if (EVP_Digest(bytes.data(), bytes.size(), name.data() + 2, nullptr, hash, nullptr) != 1)
    return fault(Kind::refused, "name a TPM object: OpenSSL failed");
  return name;
}

Outcome<PublicKey> public_key_of(const TPMT_PUBLIC& area) {
  PublicKey key;
  const auto& point = area.unique.ecc;
  if (area.type != TPM2_ALG_ECC || area.parameters.eccDetail.curveID != TPM2_ECC_NIST_P256 ||
      !pad_left(point.x.buffer, point.x.size, key.x) ||
      !pad_left(point.y.buffer, point.y.size, key.y))
    return fault(Kind::refused, "read a public key: it is not on P-256");
  return key;
}

Outcome<Signature> signature_of(const TPMT_SIGNATURE& value) {
  const auto& ecdsa = value.signature.ecdsa;
  std::array<std::uint8_t, 32> r;
  std::array<std::uint8_t, 32> s;
  if (value.sigAlg != TPM2_ALG_ECDSA || ecdsa.hash != TPM2_ALG_SHA256 ||
      !pad_left(ecdsa.signatureR.buffer, ecdsa.signatureR.size, r) ||
      !pad_left(ecdsa.signatureS.buffer, ecdsa.signatureS.size, s))
    return fault(Kind::lost, "read the TPM's signature: it is not ECDSA P-256 with SHA-256");
  Signature signature;
  std::memcpy(signature.data(), r.data(), r.size());
  std::memcpy(signature.data() + r.size(), s.data(), s.size());
  return signature;
}

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const auto byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<Bytes> from_hex(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return bytes;
}

}  // namespace badged::keystore::tpm
