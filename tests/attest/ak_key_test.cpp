// Which keys are taken as attestation keys, and in which forms.
#include <openssl/ec.h>

#include "attest/tpm/certify.h"
#include "tests/attest/catch.h"
#include "tests/attest/openssl_keys.h"
#include "tests/attest/tpm_maker.h"

using namespace badged;
using namespace badged::attest;
using namespace badged::attest::tpm;
using namespace badged::test;

// H22.
TEST_CASE("H22: a key that lacks an attribute does not pose as an attestation key, in any form") {
  const Bytes good = vector_file("ak.public");
  REQUIRE(AttestationKey::from_file(good));
  for (const int bit : {1, 4, 5, 16, 18}) {
    Bytes area = good;
    area[7 - bit / 8] &= static_cast<std::uint8_t>(~(1 << bit % 8));
    CHECK(AttestationKey::from_file(area).error().reason == Reason::not_attested);
    Bytes sized;
    test::append_sized(sized, area);
    CHECK(AttestationKey::from_file(sized).error().reason == Reason::not_attested);
  }
  Bytes decrypts = good;
  decrypts[5] |= 1 << 1;
  CHECK(AttestationKey::from_file(decrypts).error().reason == Reason::not_attested);
}

TEST_CASE("an attestation key is the same key as TPMT_PUBLIC, TPM2B_PUBLIC and PEM") {
  const Bytes area = vector_file("ak_rsassa.public");
  Bytes sized;
  test::append_sized(sized, area);
  const auto plain = AttestationKey::from_file(area).value();
  CHECK(AttestationKey::from_file(sized).value().fingerprint() == plain.fingerprint());
  CHECK(plain.name() == vector_file("ak_rsassa.name"));
  const Key p384(EVP_EC_gen("P-384")), other(EVP_EC_gen("P-384"));
  const auto one = AttestationKey::from_file(to_pem(p384.get())).value();
  CHECK(one.name().empty());
  CHECK(one.fingerprint() != AttestationKey::from_file(to_pem(other.get())).value().fingerprint());
}

// H25.
TEST_CASE(
    "H25: keys too small, too large, of another exponent or curve are refused, not malformed") {
  const Key small = rsa_key(1024), p521(EVP_EC_gen("P-521")), k1(EVP_EC_gen("secp256k1")),
            ed(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  for (EVP_PKEY* key : {small.get(), p521.get(), k1.get(), ed.get()})
    CHECK(AttestationKey::from_file(to_pem(key)).error().reason == Reason::not_attested);
  Bytes huge = vector_file("ak_rsassa.public");
  const Bytes modulus(2048, 0xFF);
  huge.resize(huge.size() - 258 - 6);
  test::append(huge, 16384, 2);
  test::append(huge, 0, 4);
  test::append_sized(huge, modulus);
  CHECK(AttestationKey::from_file(huge).error().reason == Reason::not_attested);
}

// H25.
TEST_CASE("H25: an RSA key of another exponent than 65537 is refused, in any form") {
  const Key good = rsa_key(2048);
  REQUIRE(AttestationKey::from_file(to_pem(rsa_public(*good, 65537).get())));
  for (const std::uint64_t exponent : {1ull, 3ull, 17ull, 65539ull, 0x1'0001'0001ull}) {
    INFO(exponent);
    const Bytes pem = to_pem(rsa_public(*good, exponent).get());
    CHECK(AttestationKey::from_file(pem).error().reason == Reason::not_attested);
  }
  for (const std::uint8_t low : {std::uint8_t{3}, std::uint8_t{17}}) {
    Bytes area = vector_file("ak_rsassa.public");
    area[area.size() - 256 - 2 - 1] = low;
    CHECK(AttestationKey::from_file(area).error().reason == Reason::not_attested);
  }
}

// H25.
TEST_CASE("H25: an RSA modulus that is even or shorter than it claims is refused") {
  const Bytes good = vector_file("ak_rsassa.public");
  REQUIRE(AttestationKey::from_file(good));
  Bytes even = good;
  even.back() &= 0xFE;
  CHECK(AttestationKey::from_file(even).error().reason == Reason::not_attested);
  for (const std::uint8_t high : {std::uint8_t{0x00}, std::uint8_t{0x01}, std::uint8_t{0x7F}}) {
    Bytes shorter = good;
    shorter[good.size() - 256] = high;
    CHECK(AttestationKey::from_file(shorter).error().reason == Reason::not_attested);
  }
}

TEST_CASE("a file that holds no public key is malformed") {
  const Key key(EVP_EC_gen("P-256"));
  const Bytes pem = to_pem(key.get());
  const auto refused = [](Bytes file) {
    return AttestationKey::from_file(file).error().reason == Reason::malformed;
  };
  Bytes twice = pem;
  twice.insert(twice.end(), pem.begin(), pem.end());
  CHECK(refused(twice));
  CHECK(refused(Bytes(pem.begin(), pem.end() - 30)));
  CHECK(refused({}));
  CHECK(refused({0x30}));
  CHECK(refused(Bytes(10'000, '-')));
  const Owned<BIO, BIO_free> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  CHECK(refused(Bytes(data, data + size)));
}
