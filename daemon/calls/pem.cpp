#include "daemon/calls/pem.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace badged::calls {
namespace {

// SubjectPublicKeyInfo of a P-256 key up to the point: RFC 5480 2, always these bytes.
constexpr std::array<std::uint8_t, 27> kP256Head{
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

std::string pem(const char* label, ByteView der) {
  std::string base64(4 * ((der.size() + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()), der.data(),
                                     static_cast<int>(der.size()));
  base64.resize(static_cast<std::size_t>(length));
  std::string out = std::string("-----BEGIN ") + label + "-----\n";
  for (std::size_t at = 0; at < base64.size(); at += 64) out += base64.substr(at, 64) + '\n';
  return out + "-----END " + label + "-----\n";
}

}  // namespace

std::string public_key_pem(const keystore::PublicKey& key) {
  Bytes der(kP256Head.begin(), kP256Head.end());
  der.insert(der.end(), key.x.begin(), key.x.end());
  der.insert(der.end(), key.y.begin(), key.y.end());
  return pem("PUBLIC KEY", der);
}

std::string certificate_pem(ByteView der) {
  return pem("CERTIFICATE", der);
}

}  // namespace badged::calls
