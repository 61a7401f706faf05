// Formats that a TPM or a file hands us, where no TPM at hand shows every shape.
#include <cstring>

#include "keystore/tpm/marshal.h"
#include "keystore/tpm/pem.h"
#include "keystore/tpm/record.h"
#include "keystore/tpm/sealed.h"
#include "tests/keystore/result_printer.h"

namespace badged::test {

using namespace keystore::tpm;

// The simulator always gives 32 bytes; other TPMs drop leading zeros (H15).
TEST_CASE("pads what a TPM gives shorter: signatures and coordinates", "[formats]") {
  TPMT_SIGNATURE signature{};
  signature.sigAlg = TPM2_ALG_ECDSA;
  signature.signature.ecdsa.hash = TPM2_ALG_SHA256;
  signature.signature.ecdsa.signatureR.size = 31;
  signature.signature.ecdsa.signatureS.size = 1;
  std::memset(signature.signature.ecdsa.signatureR.buffer, 0xAA, 31);
  signature.signature.ecdsa.signatureS.buffer[0] = 0xBB;
  const auto fixed = signature_of(signature);
  REQUIRE(fixed.has_value());
  CHECK((*fixed)[0] == 0);
  CHECK((*fixed)[1] == 0xAA);
  CHECK((*fixed)[31] == 0xAA);
  CHECK((*fixed)[62] == 0);
  CHECK((*fixed)[63] == 0xBB);
  signature.signature.ecdsa.signatureR.size = 33;
  CHECK_FALSE(signature_of(signature).has_value());
  signature.sigAlg = TPM2_ALG_RSASSA;
  CHECK_FALSE(signature_of(signature).has_value());

  TPMT_PUBLIC area = signing_template().publicArea;
  area.unique.ecc.x.size = 30;
  std::memset(area.unique.ecc.x.buffer, 0xCC, 30);
  area.unique.ecc.y.size = 32;
  const auto key = public_key_of(area);
  REQUIRE(key.has_value());
  CHECK(key->x[1] == 0);
  CHECK(key->x[2] == 0xCC);
  area.parameters.eccDetail.curveID = TPM2_ECC_NIST_P384;
  CHECK_FALSE(public_key_of(area).has_value());
}

TEST_CASE("reads back the key file it wrote and no cut or edited one", "[formats]") {
  Wrapped key{signing_template(), {}};
  key.blob.size = 126;
  const std::string pem = to_pem(key, keystore::tpm::kSrkHandle);
  const auto again = from_pem(as_bytes(pem));
  REQUIRE(again.has_value());
  CHECK(again->blob.size == 126);
  CHECK(marshal(again->area) == marshal(key.area));
  for (std::size_t size = 0; size + 30 < pem.size(); size += 11)
    CHECK_FALSE(from_pem(as_bytes(pem.substr(0, size))).has_value());
  CHECK_FALSE(from_pem(Bytes(100000, 'A')).has_value());
}

TEST_CASE("reads back its record and refuses any other shape", "[formats]") {
  Record record;
  record.endorsement = "p256";
  record.srk_name = record.ek_name = record.ak_name = record.issuer_name = Bytes(34, 0x0B);
  record.ak_auth = record.issuer_auth = record.seal_auth = new_auth();
  CHECK(new_auth() != record.ak_auth);
  CHECK(record.ak_auth.size() == 32);
  const std::string json = to_json(record);
  REQUIRE(from_json(as_bytes(json)).has_value());
  for (std::size_t size = 0; size + 1 < json.size(); ++size)
    CHECK_FALSE(from_json(as_bytes(json.substr(0, size))).has_value());
  const auto edited = [&json](const std::string& from, const std::string& to) {
    std::string text = json;
    text.replace(text.find(from), from.size(), to);
    return from_json(as_bytes(text)).has_value();
  };
  CHECK_FALSE(edited("\"version\": 1", "\"version\": 2"));
  CHECK_FALSE(edited("\"version\": 1", "\"version\": \"one\""));
  CHECK_FALSE(edited("\"ek_name\"", "\"srk_name\""));
  CHECK_FALSE(edited("0b0b", "0B0B"));
  CHECK_FALSE(edited("}\n", "} x"));
}

}  // namespace badged::test
