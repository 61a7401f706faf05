// Quotes and keys of real machines, where the folder of fixtures is at hand (BADGED_FIXTURES).
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include "tests/attest/catch.h"

#include <openssl/pem.h>

#include "attest/tpm/certify.h"
#include "keystore/owned.h"

using namespace badged;
using namespace badged::attest;
using namespace badged::attest::tpm;
namespace fs = std::filesystem;

namespace {

fs::path fixtures() {
  const char* named = std::getenv("BADGED_FIXTURES");
  return named != nullptr ? fs::path(named) : fs::path(BADGED_SOURCE "/../shared/fixtures");
}

bool absent() {
  if (fs::exists(fixtures() / "derived/swtpm/ak.pem")) return false;
  WARN("SKIPPED: no fixtures of real machines here (set BADGED_FIXTURES)");
  return true;
}

Bytes read(const fs::path& name) {
  std::ifstream in(fixtures() / name, std::ios::binary);
  if (!in) throw std::runtime_error("no fixture " + name.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

AttestationKey pem_key(const fs::path& name) {
  const Bytes pem = read(name);
  const Owned<BIO, BIO_free> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Owned<EVP_PKEY, EVP_PKEY_free> key(
      PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  std::array<std::uint8_t, 65> point{};
  std::size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(key.get(), "pub", point.data(), point.size(), &size) != 1 ||
      size != 65)
    throw std::runtime_error("no P-256 key");
  keystore::PublicKey out;
  std::copy_n(point.begin() + 1, 32, out.x.begin());
  std::copy_n(point.begin() + 33, 32, out.y.begin());
  return AttestationKey::from_key(out).value();
}

}  // namespace

TEST_CASE("a simulator's quote verifies and is read") {
  if (absent()) return;
  const auto ak = pem_key("derived/swtpm/ak.pem");
  const auto quote = VerifiedAttest::verify(ak, read("derived/swtpm/quote_pcr0-7_10.tpms_attest"),
                                            read("derived/swtpm/quote_pcr0-7_10.tpmt_signature"));
  REQUIRE(quote);
  const auto attest = quote->as(AttestType::quote);
  REQUIRE(attest);
  CHECK(attest->extra_data == Bytes{0x00, 0x11, 0x22, 0x33});
  CHECK(std::get<QuoteInfo>(attest->body).selections.at(0).pcrs == 0x4FF);
}

TEST_CASE("an NV attestation by the same key is seen as what it is") {
  if (absent()) return;
  const auto ak = pem_key("derived/swtpm/ak.pem");
  const auto nv = VerifiedAttest::verify(ak, read("derived/swtpm/nv_certify.tpms_attest"),
                                         read("derived/swtpm/nv_certify.tpmt_signature"));
  REQUIRE(nv);
  CHECK(nv->as(AttestType::quote).error().reason == Reason::not_attested);
  const auto attest = nv->as(AttestType::nv);
  REQUIRE(attest);
  CHECK(std::holds_alternative<OtherInfo>(attest->body));
}

TEST_CASE("a wrong magic that an unrestricted key signed is refused") {
  if (absent()) return;
  const auto key = pem_key("derived/swtpm/unrestricted_key.pem");
  const auto forged = VerifiedAttest::verify(key, read("derived/swtpm/wrong_magic.attest"),
                                             read("derived/swtpm/wrong_magic.tpmt_signature"));
  REQUIRE_FALSE(forged);
  CHECK(forged.error().reason == Reason::not_attested);
}

TEST_CASE("the quotes of cloud machines verify, of every bank") {
  if (absent()) return;
  for (const char* machine : {"gce-cos-85-no-nonce.pb.d", "gce-cos-85-nonce9009.pb.d"}) {
    const fs::path folder = fs::path("google__go-tpm-tools/internal/test/attestations") / machine;
    const auto ak = AttestationKey::from_public_area(read(folder / "ak.tpmt_public"));
    REQUIRE(ak);
    for (const char* bank : {"sha1", "sha256", "sha384"}) {
      INFO(machine << " " << bank);
      const std::string name = std::string("quote.") + bank;
      const auto quote = VerifiedAttest::verify(*ak, read(folder / (name + ".tpms_attest")),
                                                read(folder / (name + ".tpmt_signature")));
      REQUIRE(quote);
      CHECK(quote->as(AttestType::quote));
    }
  }
}

TEST_CASE("a real TPM's attestation key that signs with SHA-1 is refused") {
  if (absent()) return;
  const Bytes area = read("google__go-attestation/extracted/activation_test.0/ak.tpmt_public");
  REQUIRE(parse_public_area(area));
  CHECK(AttestationKey::from_public_area(area).error().reason == Reason::algorithm);
}

TEST_CASE("a real TPM's creation statement is read to its end") {
  if (absent()) return;
  const auto made =
      parse_attest(read("google__go-attestation/extracted/activation_test.0/creation_attest"));
  REQUIRE(made);
  CHECK(made->magic == kGeneratedValue);
  CHECK(made->type == AttestType::creation);
  CHECK(parse_signature(read("google__go-attestation/extracted/activation_test.0/creation_sig")));
}
