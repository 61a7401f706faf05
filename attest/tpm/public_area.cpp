#include <openssl/evp.h>

#include "attest/jose/jwk.h"
#include "attest/limits.h"
#include "attest/tpm/digest.h"
#include "attest/tpm/reader.h"
#include "attest/tpm/structures.h"
#include "keystore/owned.h"

namespace badged::attest::tpm {

namespace {

Alg read_alg(Reader& in) {
  return static_cast<Alg>(in.u16());
}

// TPMT_SYM_DEF_OBJECT (Part 2, 11.1.7): storage keys carry a cipher, all others null.
Alg read_symmetric(Reader& in) {
  const Alg alg = read_alg(in);
  if (alg == Alg::null) return alg;
  if (alg != Alg::aes) in.refuse("a symmetric algorithm other than AES", not_ours(alg));
  in.u16();  // key bits
  const Alg mode = read_alg(in);
  if (mode != Alg::cfb) in.refuse("a mode other than CFB", not_ours(mode));
  return alg;
}

// TPMT_ASYM_SCHEME (Part 2, 11.2.3): what follows depends on the scheme.
SigningScheme read_scheme(Reader& in) {
  SigningScheme scheme{read_alg(in)};
  switch (scheme.scheme) {
    case Alg::null:
    case Alg::rsaes:
      return scheme;
    case Alg::ecdaa:
      scheme.hash = read_alg(in);
      in.u16();  // the commit counter
      return scheme;
    case Alg::rsassa:
    case Alg::rsapss:
    case Alg::oaep:
    case Alg::ecdsa:
    case Alg::ecdh:
    case Alg::ecschnorr:
    case Alg::sm2:
      scheme.hash = read_alg(in);
      return scheme;
    default:
      in.refuse("a scheme that is not used here", not_ours(scheme.scheme));
      return scheme;
  }
}

EccPublic read_ecc(Reader& in, PublicArea& area) {
  area.symmetric = read_symmetric(in);
  area.scheme = read_scheme(in);
  EccPublic key;
  key.curve = static_cast<Curve>(in.u16());
  if (read_alg(in) != Alg::null) read_alg(in);  // TPMT_KDF_SCHEME: an algorithm and its hash
  key.x = in.sized(kTpmEccBytes);
  key.y = in.sized(kTpmEccBytes);
  return key;
}

RsaPublic read_rsa(Reader& in, PublicArea& area) {
  area.symmetric = read_symmetric(in);
  area.scheme = read_scheme(in);
  RsaPublic key;
  key.bits = in.u16();
  const std::uint32_t exponent = in.u32();
  if (exponent != 0) key.exponent = exponent;
  key.modulus = in.sized(kTpmRsaBytes);
  in.require(key.modulus.size() * 8 == key.bits, "the modulus has not the size it claims");
  return key;
}

bool pad(const Bytes& value, std::span<std::uint8_t> out) {
  std::size_t skip = 0;
  while (skip < value.size() && value.size() - skip > out.size() && value[skip] == 0) ++skip;
  const std::size_t size = value.size() - skip;
  if (size == 0 || size > out.size()) return false;
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  std::copy(value.begin() + static_cast<std::ptrdiff_t>(skip), value.end(),
            out.end() - static_cast<std::ptrdiff_t>(size));
  return true;
}

}  // namespace

Result<PublicArea> parse_public_area(ByteView bytes) {
  if (bytes.size() > kTpmStructureBytes)
    return fail(Errc::malformed, "read a TPM public area: larger than allowed");
  Reader in(bytes);
  PublicArea area;
  const Alg type = read_alg(in);
  area.name_alg = read_alg(in);
  area.attributes = in.u32();
  in.require((area.attributes & attribute::reserved) == 0, "a reserved attribute is set");
  area.policy = in.sized(kTpmDigestBytes);
  if (type == Alg::ecc)
    area.key = read_ecc(in, area);
  else if (type == Alg::rsa)
    area.key = read_rsa(in, area);
  else
    in.refuse("neither an ECC nor an RSA key", not_ours(type));
  if (auto done = in.finish("a TPM public area"); !done) return done.error();
  return area;
}

Result<Bytes> compute_name(ByteView public_area) {
  auto area = parse_public_area(public_area);
  if (!area) return area.error();
  const EVP_MD* digest = accepted_digest(area->name_alg);
  if (digest == nullptr)
    return fail(Errc::refused, "compute a TPM Name: nameAlg is not SHA-256, SHA-384 or SHA-512");
  const auto alg = static_cast<std::uint16_t>(area->name_alg);
  Bytes name(2 + static_cast<std::size_t>(EVP_MD_get_size(digest)));
  name[0] = static_cast<std::uint8_t>(alg >> 8);
  name[1] = static_cast<std::uint8_t>(alg & 0xFF);
  if (EVP_Digest(public_area.data(), public_area.size(), name.data() + 2, nullptr, digest,
                 nullptr) != 1)
    return fail(Errc::internal, "compute a TPM Name: OpenSSL fails");
  return name;
}

Result<keystore::PublicKey> p256_key(const PublicArea& area) {
  const auto* ecc = std::get_if<EccPublic>(&area.key);
  if (ecc == nullptr || ecc->curve != Curve::p256)
    return fail(Errc::refused, "read a TPM key: it is not on P-256");
  keystore::PublicKey key;
  if (!pad(ecc->x, key.x) || !pad(ecc->y, key.y) || !on_curve(key))
    return fail(Errc::malformed, "read a TPM key: the point is not on P-256");
  return key;
}

Result<Signature> fixed_signature(const EcdsaSignature& signature) {
  Signature fixed;
  const std::span<std::uint8_t, 64> both(fixed);
  if (!pad(signature.r, both.first<32>()) || !pad(signature.s, both.last<32>()))
    return fail(Errc::malformed, "read a TPM signature: r or s does not fit P-256");
  return fixed;
}

}  // namespace badged::attest::tpm
