#include "tests/attest/catch.h"

#include "attest/limits.h"
#include "attest/tpm/certify.h"
#include "tests/attest/tpm_maker.h"

using namespace badged;
using namespace badged::attest;
using namespace badged::attest::tpm;
using test::Resigner;
using test::statement;
using test::vector_file;

namespace {

AttestationKey ak(const std::string& name) {
  return AttestationKey::from_public_area(vector_file(name + ".public")).value();
}

Reason refusal(const AttestationKey& key, const keystore::Certification& made) {
  const auto certified = verify_certification(key, made);
  if (certified) throw std::logic_error("the statement was accepted");
  return certified.error().reason;
}

template <class Parse>
void check_exact(const Bytes& good, Parse parse) {
  REQUIRE(parse(good));
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(parse(ByteView(good).first(size)));
  Bytes longer = good;
  longer.push_back(0);
  CHECK_FALSE(parse(longer));
}

}  // namespace

TEST_CASE("public areas are read as the TPM made them, and their Names computed") {
  for (const char* name :
       {"ak", "ak_rsassa", "ak_rsapss", "ak_unrestricted", "key", "movable", "rsa_key"}) {
    INFO(name);
    const Bytes area = vector_file(std::string(name) + ".public");
    REQUIRE(parse_public_area(area));
    CHECK(compute_name(area).value() == vector_file(std::string(name) + ".name"));
  }
  const auto area = parse_public_area(vector_file("ak.public")).value();
  CHECK(area.has(attribute::restricted | attribute::sign | attribute::fixed_tpm));
  CHECK(area.scheme.scheme == Alg::ecdsa);
  CHECK(area.scheme.hash == Alg::sha256);
  CHECK(p256_key(area));
  const auto rsa = parse_public_area(vector_file("rsa_key.public")).value();
  CHECK(std::get<RsaPublic>(rsa.key).bits == 2048);
  CHECK_FALSE(p256_key(rsa));
}

// TPMA_OBJECT (Part 2, 8.3), of the first byte's bit 31 on.
TEST_CASE("a public area with a reserved attribute is none") {
  const std::uint32_t given_a_meaning = 0x000F0FF6;
  for (unsigned bit = 0; bit < 32; ++bit) {
    INFO(bit);
    Bytes area = vector_file("ak.public");
    area[7 - bit / 8] |= static_cast<std::uint8_t>(1u << bit % 8);
    const auto parsed = parse_public_area(area);
    CHECK(parsed.has_value() == ((given_a_meaning >> bit & 1) == 1));
    if (!parsed) CHECK(AttestationKey::from_public_area(area).error().reason == Reason::malformed);
  }
}

TEST_CASE("TPM structures end exactly where they end") {
  check_exact(vector_file("ak.public"), parse_public_area);
  check_exact(vector_file("key_by_ak.attest"), parse_attest);
  check_exact(vector_file("quote.attest"), parse_attest);
  check_exact(vector_file("time.attest"), parse_attest);
  check_exact(vector_file("key_by_ak.signature"), parse_signature);
  check_exact(vector_file("key_by_rsassa.signature"), parse_signature);
}

TEST_CASE("a quote's selections and digest are read in the signed order") {
  const auto attest = parse_attest(vector_file("quote.attest")).value();
  CHECK(attest.magic == kGeneratedValue);
  CHECK(attest.type == AttestType::quote);
  CHECK(attest.extra_data == Bytes{0x00, 0x11, 0x22, 0x33});
  const auto& quote = std::get<QuoteInfo>(attest.body);
  REQUIRE(quote.selections.size() == 1);
  CHECK(quote.selections[0] == PcrSelection{Alg::sha256, 1u << 0 | 1u << 1 | 1u << 7});
  CHECK(quote.digest.size() == 32);
}

// H19. Each is well formed but for the one number, so that only its own bound can refuse it.
TEST_CASE("a quote with impossible selections is refused") {
  const Bytes good = vector_file("quote.attest");
  const std::size_t count_at = good.size() - 2 - 32 - 6 - 4;  // digest, one selection, the count
  const auto quote = [&](std::size_t count, std::size_t select_size) {
    Bytes out(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(count_at));
    out.insert(out.end(), {0, 0, 0, static_cast<std::uint8_t>(count)});
    for (std::size_t i = 0; i < count; ++i) {
      out.insert(out.end(), {0x00, 0x0B, static_cast<std::uint8_t>(select_size)});
      out.insert(out.end(), select_size, 1);
    }
    out.insert(out.end(), good.end() - 34, good.end());
    return parse_attest(out).has_value();
  };
  REQUIRE(quote(1, 3));
  CHECK(quote(0, 3));
  CHECK(quote(16, 3));
  CHECK_FALSE(quote(17, 3));
  for (const std::size_t size : {0u, 4u, 5u, 255u}) CHECK_FALSE(quote(1, size));
}

TEST_CASE("a count or size beyond the bytes that are there is refused before memory is taken") {
  Bytes bad = vector_file("quote.attest");
  const std::size_t count_at = bad.size() - 2 - 32 - 6 - 4;
  for (std::size_t i = 0; i < 4; ++i) bad[count_at + i] = 0xFF;
  CHECK_FALSE(parse_attest(bad));
  bad = vector_file("quote.attest");
  bad[6] = bad[7] = 0xFF;  // the size of the signer's name
  CHECK_FALSE(parse_attest(bad));
}

TEST_CASE("keyed hashes, symmetric keys and unknown algorithms are refused") {
  for (const int type : {0x08, 0x25, 0x00, 0xFF}) {
    Bytes area = vector_file("ak.public");
    area[1] = static_cast<std::uint8_t>(type);
    CHECK_FALSE(parse_public_area(area));
  }
  Bytes signature = vector_file("key_by_ak.signature");
  for (const int scheme : {0x05, 0x10, 0x1A, 0x1C, 0x00}) {
    signature[1] = static_cast<std::uint8_t>(scheme);
    CHECK_FALSE(parse_signature(signature));
  }
}

TEST_CASE("a key of a registered algorithm that is not ours is refused, not malformed") {
  const Bytes good =
      vector_file("ak.public");  // type, nameAlg, attributes, no policy, no cipher, ECDSA
  const auto refusal_of = [&](std::size_t at, int alg) {
    Bytes area = good;
    area[at] = static_cast<std::uint8_t>(alg >> 8);
    area[at + 1] = static_cast<std::uint8_t>(alg & 0xFF);
    return AttestationKey::from_public_area(area).error().reason;
  };
  REQUIRE(AttestationKey::from_public_area(good));
  const std::size_t policy = 10 + static_cast<std::size_t>(good[8] << 8 | good[9]);
  for (const int alg : {0x08, 0x25, 0x60, 0xA0, 0xA1})
    CHECK(refusal_of(0, alg) == Reason::not_attested);
  for (const int alg : {0x13, 0x26}) CHECK(refusal_of(policy, alg) != Reason::malformed);
  for (const int alg : {0x60, 0x61, 0xA1})
    CHECK(refusal_of(policy + 2, alg) == Reason::not_attested);
  for (const int none : {0x0000, 0x1234}) {
    CHECK(refusal_of(0, none) == Reason::malformed);
    CHECK(refusal_of(policy, none) == Reason::malformed);
    CHECK(refusal_of(policy + 2, none) == Reason::malformed);
  }
}

TEST_CASE("a Name of SHA-1 is refused") {
  Bytes area = vector_file("ak.public");
  area[3] = 0x04;
  REQUIRE(parse_public_area(area));
  CHECK_FALSE(compute_name(area));
  CHECK(AttestationKey::from_public_area(area).error().reason == Reason::algorithm);
}

// H15.
TEST_CASE("short r and s of a TPM become fixed 64 bytes, left padded") {
  const auto fixed = fixed_signature({Bytes{1, 2}, Bytes(31, 7)}).value();
  CHECK(fixed[29] == 0);
  CHECK(fixed[30] == 1);
  CHECK(fixed[31] == 2);
  CHECK(fixed[32] == 0);
  CHECK(fixed[33] == 7);
  Bytes padded(33, 0);
  padded[32] = 9;
  CHECK(fixed_signature({padded, padded}).value()[31] == 9);
  CHECK_FALSE(fixed_signature({Bytes{}, Bytes{1}}));
  CHECK_FALSE(fixed_signature({Bytes(33, 1), Bytes{1}}));
}

TEST_CASE("a key certified by an ECDSA, RSASSA or RSAPSS attestation key is accepted") {
  const auto certified = verify_certification(ak("ak"), statement("key", "key_by_ak"));
  REQUIRE(certified);
  CHECK(certified->name() == vector_file("key.name"));
  CHECK(p256_key(certified->area()));
  CHECK(verify_certification(ak("ak"), statement("rsa_key", "rsa_key_by_ak")));
  CHECK(verify_certification(ak("ak_rsassa"), statement("key", "key_by_rsassa")));
  CHECK(verify_certification(ak("ak_rsapss"), statement("key", "key_by_rsapss")));
  const auto point = p256_key(parse_public_area(vector_file("ak.public")).value()).value();
  CHECK(
      verify_certification(AttestationKey::from_key(point).value(), statement("key", "key_by_ak")));
}

TEST_CASE("a statement by another attestation key is refused") {
  CHECK(refusal(ak("ak_rsassa"), statement("key", "key_by_ak")) == Reason::algorithm);
  CHECK(refusal(ak("ak_rsapss"), statement("key", "key_by_rsassa")) == Reason::algorithm);
  CHECK(refusal(ak("ak"), statement("key", "key_by_unrestricted")) == Reason::signature);
  CHECK(refusal(Resigner().ak, statement("key", "key_by_ak")) == Reason::signature);
}

TEST_CASE("a statement of which one bit changed is refused") {
  const auto key = ak("ak");
  for (std::size_t i = 0; i < vector_file("key_by_ak.attest").size(); i += 7) {
    auto made = statement("key", "key_by_ak");
    made.attest[i] ^= 1;
    CHECK(refusal(key, made) == Reason::signature);
  }
}

TEST_CASE("a statement about another key is refused") {
  CHECK(refusal(ak("ak"), {vector_file("movable.public"), vector_file("key_by_ak.attest"),
                           vector_file("key_by_ak.signature")}) == Reason::not_attested);
}

TEST_CASE("a certified key that may leave its TPM is refused") {
  CHECK(refusal(ak("ak"), statement("movable", "movable_by_ak")) == Reason::not_attested);
}

TEST_CASE("an unrestricted key does not pose as an attestation key") {
  CHECK(AttestationKey::from_public_area(vector_file("ak_unrestricted.public")).error().reason ==
        Reason::not_attested);
  for (const std::uint32_t missing : {attribute::restricted, attribute::sign, attribute::fixed_tpm,
                                      attribute::fixed_parent, attribute::sensitive_data_origin}) {
    Bytes area = vector_file("ak.public");
    for (std::size_t i = 0; i < 4; ++i)
      area[4 + i] &= static_cast<std::uint8_t>(~(missing >> (24 - 8 * i)));
    CHECK(AttestationKey::from_public_area(area).error().reason == Reason::not_attested);
  }
}

// H17.
TEST_CASE("a wrong magic, validly signed, is refused") {
  const Resigner signer;
  auto made = statement("key", "key_by_ak");
  REQUIRE(verify_certification(signer.ak, signer.resign(made)));
  made.attest[0] = 'X';
  CHECK(refusal(signer.ak, signer.resign(made)) == Reason::not_attested);
}

TEST_CASE("a quote or another attestation in place of a certification is refused") {
  const auto key = ak("ak");
  CHECK(refusal(key, {vector_file("key.public"), vector_file("quote.attest"),
                      vector_file("quote.signature")}) == Reason::not_attested);
  CHECK(refusal(key, {vector_file("key.public"), vector_file("time.attest"),
                      vector_file("time.signature")}) == Reason::not_attested);
  const Resigner signer;
  for (const int type : {0x14, 0x15, 0x16, 0x18, 0x19, 0x1A, 0x1C, 0x00}) {
    auto made = statement("key", "key_by_ak");
    made.attest[5] = static_cast<std::uint8_t>(type);
    CHECK(refusal(signer.ak, signer.resign(made)) == Reason::not_attested);
  }
}

TEST_CASE("trailing bytes in a signed attestation are refused") {
  const Resigner signer;
  auto made = statement("key", "key_by_ak");
  made.attest.push_back(0);
  CHECK(refusal(signer.ak, signer.resign(made)) == Reason::malformed);
}

TEST_CASE("a signature with SHA-1 is a refusal, not malformed") {
  const Resigner signer;
  auto made = statement("key", "key_by_ak");
  made.signature = signer.sign(made.attest, 0x04);
  CHECK(refusal(signer.ak, made) == Reason::algorithm);
}

TEST_CASE("extra data is compared whole") {
  const auto key = ak("ak");
  const Resigner signer;
  auto made = statement("key", "key_by_ak");
  const Bytes extra = parse_attest(made.attest).value().extra_data;
  CHECK(verify_certification(key, made, ByteView(extra)));
  Bytes longer = extra;
  longer.push_back(0);
  CHECK_FALSE(verify_certification(key, made, ByteView(longer)));
}
