#include "tests/keystore/tpm_support.h"

#include <algorithm>

#include "keystore/sha256.h"

namespace badged::test {

const Digest kDigest = keystore::sha256(as_bytes("something to sign"));

void check_signs(keystore::Store& store, const keystore::StoredKey& key) {
  const auto signature = sign(store, key.id, kDigest);
  REQUIRE(signature);
  CHECK(verifies(key.public_key, kDigest, *signature));
}

std::string all_files(const std::filesystem::path& keys) {
  return read_text(keys / "provision.json") + read_text(keys / "attestation.pem") +
         read_text(keys / "issuer.pem");
}

std::string must_run(const std::vector<std::string>& arguments, const std::string& tcti,
                     const std::filesystem::path& directory) {
  const auto result = run_program(arguments, tcti, directory);
  INFO(arguments[0] << ": " << result.output);
  REQUIRE(result.exit_code == 0);
  return result.output;
}

std::string json_member(const std::string& json, const std::string& name) {
  const auto at = json.find("\"" + name + "\": \"");
  REQUIRE(at != json.npos);
  const auto from = at + name.size() + 5;
  return json.substr(from, json.find('"', from) - from);
}

void write_public_pem(const std::filesystem::path& file, const keystore::PublicKey& key) {
  // SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { 04 x y } }
  Bytes der{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06,
            0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
  der.insert(der.end(), key.x.begin(), key.x.end());
  der.insert(der.end(), key.y.begin(), key.y.end());
  const auto raw = file.string() + ".der";
  write_text(raw, std::string(as_text(der)));
  must_run({"openssl", "pkey", "-pubin", "-inform", "DER", "-in", raw, "-out", file});
}

Bytes certified_name(const Bytes& attest) {
  const Bytes magic_and_type{0xFF, 'T', 'C', 'G', 0x80, 0x17};
  if (attest.size() < 6 ||
      !std::equal(magic_and_type.begin(), magic_and_type.end(), attest.begin()))
    return {};
  std::size_t at = 6;
  const auto sized = [&]() -> Bytes {
    if (at + 2 > attest.size()) return {};
    const std::size_t size = std::size_t{attest[at]} << 8 | attest[at + 1];
    at += 2 + size;
    if (at > attest.size()) return {};
    return Bytes(attest.begin() + static_cast<std::ptrdiff_t>(at - size),
                 attest.begin() + static_cast<std::ptrdiff_t>(at));
  };
  sized();       // qualifiedSigner
  sized();       // extraData
  at += 17 + 8;  // clockInfo, firmwareVersion
  Bytes name = sized();
  sized();  // qualifiedName
  return at == attest.size() ? name : Bytes{};
}

Signature fixed_signature(const Bytes& tpmt_signature) {
  Signature signature{};
  std::size_t at = 4;  // sigAlg, hash
  for (const std::size_t end : {std::size_t{32}, std::size_t{64}}) {
    REQUIRE(at + 2 <= tpmt_signature.size());
    const std::size_t size = std::size_t{tpmt_signature[at]} << 8 | tpmt_signature[at + 1];
    at += 2;
    REQUIRE(size <= 32);
    REQUIRE(at + size <= tpmt_signature.size());
    std::copy_n(tpmt_signature.begin() + static_cast<std::ptrdiff_t>(at), size,
                signature.begin() + static_cast<std::ptrdiff_t>(end - size));
    at += size;
  }
  CHECK(at == tpmt_signature.size());
  return signature;
}

}  // namespace badged::test
