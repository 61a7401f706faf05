#include "attest/tpm/public_key_file.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "attest/limits.h"
#include "attest/openssl_errors.h"

namespace badged::attest::tpm {

namespace {

constexpr std::string_view kBegin = "-----BEGIN ";

Error unreadable(std::string_view why) {
  return fail(Errc::malformed, std::string("read a public key: ").append(why),
              "a PEM file with PUBLIC KEY, a TPMT_PUBLIC or a TPM2B_PUBLIC");
}

Result<Bytes> decode_pem(std::string_view text) {
  const auto begin = text.find(kBegin);
  if (begin == text.npos || text.find(kBegin, begin + 1) != text.npos)
    return unreadable("not exactly one PEM block");
  const auto label = text.substr(begin + kBegin.size());
  if (label.starts_with("CERTIFICATE-----"))
    return fail(Errc::malformed, "read a public key: it is a certificate",
                "check the certificate, then `openssl x509 -pubkey -noout -in FILE` gives its key");
  if (!label.starts_with("PUBLIC KEY-----")) return unreadable("the PEM block is no PUBLIC KEY");
  const Owned<BIO, BIO_free> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  const bool read =
      bio && PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1 && header[0] == '\0';
  Bytes der;
  if (read) der.assign(data, data + size);
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  if (!read) return unreadable("the PEM block is damaged");
  return der;
}

}  // namespace

Result<Owned<EVP_PKEY, EVP_PKEY_free>> read_public_key(ByteView content) {
  const ErrorsAsBefore errors;
  if (content.size() > kAkFileBytes) return unreadable("larger than allowed");
  Bytes der(content.begin(), content.end());
  if (der.empty() || der[0] != 0x30) {  // a DER SEQUENCE
    auto decoded = decode_pem(as_text(content));
    if (!decoded) return decoded.error();
    der = std::move(*decoded);
  }
  const unsigned char* at = der.data();
  Owned<EVP_PKEY, EVP_PKEY_free> key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (!key) return unreadable("not a SubjectPublicKeyInfo that OpenSSL knows");
  if (at != der.data() + der.size()) return unreadable("bytes follow the key");
  return key;
}

}  // namespace badged::attest::tpm
