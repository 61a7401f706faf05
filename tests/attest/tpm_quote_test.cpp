// Quotes: what is signed, and what a relying party asked for.
#include "attest/tpm/quote.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "attest/jose/base64url.h"
#include "attest/jose/trusted_keys.h"
#include "tests/attest/catch.h"
#include "tests/attest/openssl_keys.h"
#include "tests/attest/tpm_maker.h"

using namespace badged;
using namespace badged::attest;
using namespace badged::attest::tpm;
using namespace badged::test;

namespace {

const std::string kZero(64, '0'), kOne = std::string(62, '0') + "01";
const std::string kPcrs =
    R"({"sha256":{"0":")" + kZero + R"(","1":")" + kOne + R"(","7":")" + kZero + R"("}})";
const Bytes kNonce{0x00, 0x11, 0x22, 0x33};

// The reason of a refusal; nullopt: good.
std::optional<Reason> verdict(const AttestationKey& ak, const Bytes& attest, const Bytes& signature,
                              const QuoteExpectation& expect, Findings* keep = nullptr) {
  Findings findings;
  const auto quote = VerifiedQuote::verify(ak, attest, signature, findings);
  std::optional<Reason> reason;
  if (!quote)
    reason = quote.error().reason;
  else if (const auto good = check_quote(*quote, expect, findings); !good)
    reason = good.error().reason;
  if (keep != nullptr) *keep = findings;
  return reason;
}

std::optional<Reason> verdict(const Bytes& attest, const QuoteExpectation& expect,
                              Findings* keep = nullptr) {
  static const Resigner signer;
  return verdict(signer.ak, attest, signer.sign(attest), expect, keep);
}

QuoteExpectation with_nonce(ByteView nonce = kNonce) {
  QuoteExpectation expect;
  expect.extra_data = nonce;
  return expect;
}

std::optional<Reason> with_values(const QuoteMaker& maker, const std::string& pcrs) {
  const auto values = PcrValues::parse(pcrs).value();
  auto expect = with_nonce();
  expect.pcrs = &values;
  return verdict(maker.make(), expect);
}

Bytes sign_with(EVP_PKEY* key, const EVP_MD* hash, const Bytes& message, bool pss = false) {
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  EVP_DigestSignInit(context.get(), &parameters, hash, nullptr, key);
  if (pss) EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
  std::size_t size = 0;
  EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size());
  Bytes out(size);
  EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size());
  out.resize(size);
  return out;
}

Bytes rsa_signature(std::uint8_t scheme, std::uint8_t hash, const Bytes& value) {
  Bytes out{0x00, scheme, 0x00, hash};
  test::append_sized(out, value);
  return out;
}

}  // namespace

TEST_CASE("a quote with the wanted nonce, selection and values is good, and says what it checked") {
  const auto values = PcrValues::parse(kPcrs).value();
  auto expect = with_nonce();
  expect.selection = parse_selection("sha256:7,0,1").value();
  expect.pcrs = &values;
  Findings findings;
  CHECK(verdict(QuoteMaker().over(kPcrs).make(), expect, &findings) == std::nullopt);
  CHECK(findings.done().size() == 7);
  CHECK_FALSE(findings.warned());
  CHECK(findings.not_checked().empty());
}

TEST_CASE("what nobody asked for is named as not checked") {
  Findings findings;
  CHECK(verdict(QuoteMaker().make(), {}, &findings) == std::nullopt);
  REQUIRE(findings.not_checked().size() == 3);
  CHECK(findings.not_checked()[0].check == "nonce");
  CHECK(findings.not_checked()[1].check == "selection");
  CHECK(findings.not_checked()[2].check == "pcr_values");
}

// H17.
TEST_CASE("H17: a wrong magic is refused whatever follows it, before that is read") {
  QuoteMaker maker;
  maker.magic = 0x58585858;
  CHECK(verdict(maker.make(), with_nonce()) == Reason::not_attested);
  CHECK(verdict(Bytes{'X', 'X', 'X', 'X', 0}, with_nonce()) == Reason::not_attested);
}

// H17.
TEST_CASE("H17: every other type of attestation in place of a quote is refused") {
  Resigner signer;
  const Bytes time = vector_file("time.attest");
  CHECK(verdict(time, {}) == Reason::not_attested);
  CHECK(verdict(vector_file("key_by_ak.attest"), {}) == Reason::not_attested);
  for (const int type : {0x8014, 0x8015, 0x8016, 0x8017, 0x8019, 0x801A, 0x801C, 0x8000}) {
    QuoteMaker maker;
    maker.type = static_cast<std::uint16_t>(type);
    INFO(type);
    CHECK(verdict(maker.make(), with_nonce()) == Reason::not_attested);  // whatever its body is
  }
}

// H18.
TEST_CASE("H18: a selection that is not the asked one is refused, however it is labelled") {
  auto expect = with_nonce();
  expect.selection = parse_selection("sha256:0,1,7").value();
  QuoteMaker maker;
  CHECK(verdict(maker.make(), expect) == std::nullopt);
  for (const char* other :
       {"sha256:0,1", "sha256:0,1,7,8", "sha1:0,1,7", "sha384:0,1,7", "sha256:0,1,7+sha384:0"}) {
    INFO(other);
    expect.selection = parse_selection(other).value();
    CHECK(verdict(maker.make(), expect) == Reason::selection);
  }
}

// H18.
TEST_CASE("H18: one bank in two selections, or with an empty one beside, is the same selection") {
  auto expect = with_nonce();
  expect.selection = parse_selection("sha256:0,1,7").value();
  QuoteMaker maker;
  maker.selections = {{Alg::sha256, 1u << 7}, {Alg::sha1, 0}, {Alg::sha256, 3}};
  CHECK(verdict(maker.make(), expect) == std::nullopt);
  CHECK(with_values(maker.over(kPcrs), kPcrs) == std::nullopt);
}

// H18.
TEST_CASE("H18: one bank in two selections is refused where nobody says which PCRs it wants") {
  const auto values = PcrValues::parse(kPcrs).value();
  auto of_sender = with_nonce();
  of_sender.pcrs = &values;
  of_sender.pcrs_are_the_senders = true;
  QuoteMaker maker;
  CHECK(verdict(maker.over(kPcrs).make(), of_sender) == std::nullopt);
  for (const std::uint32_t again : {3u, 1u << 7, 0u}) {
    maker.selections = {{Alg::sha256, 1u << 7}, {Alg::sha1, 0}, {Alg::sha256, again}};
    Findings findings;
    CHECK(verdict(maker.make(), with_nonce(), &findings) == Reason::selection);
    CHECK(findings.done().back().check == "selection");
    CHECK(verdict(maker.over(kPcrs).make(), of_sender) == Reason::selection);
  }
  maker.selections.pop_back();
  CHECK(verdict(maker.make(), with_nonce()) == std::nullopt);
}

// H18.
TEST_CASE("H18: a quote over no PCR is refused") {
  QuoteMaker maker;
  maker.selections = {};
  CHECK(verdict(maker.make(), with_nonce()) == Reason::selection);
  maker.selections = {{Alg::sha256, 0}};
  CHECK(verdict(maker.make(), with_nonce()) == Reason::selection);
}

// H18.
TEST_CASE("H18: values are hashed in the signed order of the banks") {
  const std::string of_384(96, '7');
  const std::string both =
      R"({"sha256":{"0":")" + kOne + R"("},"sha384":{"0":")" + of_384 + R"("}})";
  QuoteMaker maker;
  maker.selections = {{Alg::sha384, 1}, {Alg::sha256, 1}};
  maker.over(both);
  CHECK(with_values(maker, both) == std::nullopt);
  std::swap(maker.selections[0], maker.selections[1]);
  CHECK(with_values(maker, both) == Reason::pcr_values);
}

// H18.
TEST_CASE("H18: a changed, a missing, an unquoted value and another bank's are refused") {
  QuoteMaker maker;
  maker.over(kPcrs);
  REQUIRE(with_values(maker, kPcrs) == std::nullopt);
  const auto bank = [](const std::string& name, const std::string& values) {
    return "{\"" + name + "\":{" + values + "}}";
  };
  const std::string zero = "\"0\":\"" + kZero + "\"", one = ",\"1\":\"" + kOne + "\"",
                    seven = ",\"7\":\"" + kZero + "\"", eight = ",\"8\":\"" + kZero + "\"";
  CHECK(with_values(maker, bank("sha256", zero + one + ",\"7\":\"" + kOne + "\"")) ==
        Reason::pcr_values);
  CHECK(with_values(maker, bank("sha256", zero + one)) == Reason::pcr_values);
  CHECK(with_values(maker, bank("sha256", zero + one + seven + eight)) == Reason::pcr_values);
  CHECK(with_values(maker, "{\"sha256\":{" + zero + one + seven + "},\"sha1\":{\"0\":\"" +
                               std::string(40, '0') + "\"}}") == Reason::pcr_values);
  CHECK(with_values(maker, bank("sha256", "")) == Reason::pcr_values);
  CHECK(with_values(maker, "{}") == Reason::pcr_values);
}

TEST_CASE("a bank of SHA-1 is refused or a warning, as asked; one that we do not know is refused") {
  QuoteMaker maker;
  maker.selections = {{Alg::sha1, 1}};
  auto expect = with_nonce();
  CHECK(verdict(maker.make(), expect) == Reason::algorithm);
  expect.sha1_bank = QuoteExpectation::Sha1Bank::warn;
  Findings findings;
  CHECK(verdict(maker.make(), expect, &findings) == std::nullopt);
  CHECK(findings.warned());
  maker.selections = {{Alg::sm3_256, 1}};
  CHECK(verdict(maker.make(), expect) == Reason::algorithm);
}

// H19.
TEST_CASE("H19: a signed quote with impossible counts and sizes is malformed") {
  const Bytes good = QuoteMaker().make();
  REQUIRE(verdict(good, with_nonce()) == std::nullopt);
  const std::size_t count_at = good.size() - 34 - 6 - 4;
  const auto with = [&](std::size_t at, std::initializer_list<int> bytes) {
    Bytes bad = good;
    for (const int byte : bytes) bad[at++] = static_cast<std::uint8_t>(byte);
    return verdict(bad, with_nonce());
  };
  CHECK(with(count_at, {0xFF, 0xFF, 0xFF, 0xFF}) == Reason::malformed);
  CHECK(with(count_at, {0, 0, 0, 17}) == Reason::malformed);
  for (const int size : {0, 4, 255}) CHECK(with(count_at + 6, {size}) == Reason::malformed);
  CHECK(with(6, {0xFF, 0xFF}) == Reason::malformed);
  Bytes longer = good;
  longer.push_back(0);
  CHECK(verdict(longer, with_nonce()) == Reason::malformed);
}

// H20.
TEST_CASE("H20: a nonce that is empty, a prefix, longer or another is refused") {
  const Bytes attest = QuoteMaker().make();
  CHECK(verdict(attest, with_nonce()) == std::nullopt);
  const Bytes longer{0x00, 0x11, 0x22, 0x33, 0x00}, text{'0', '0', '1', '1'};
  CHECK(verdict(attest, with_nonce(ByteView())) == Reason::nonce);
  CHECK(verdict(attest, with_nonce(ByteView(kNonce).first(3))) == Reason::nonce);
  CHECK(verdict(attest, with_nonce(longer)) == Reason::nonce);
  CHECK(verdict(attest, with_nonce(text)) == Reason::nonce);
  QuoteMaker empty;
  empty.extra_data = {};
  CHECK(verdict(empty.make(), with_nonce()) == Reason::nonce);
}

// H21.
TEST_CASE("H21: a clock that is not safe is a warning") {
  QuoteMaker maker;
  maker.safe = 0;
  Findings findings;
  CHECK(verdict(maker.make(), with_nonce(), &findings) == std::nullopt);
  CHECK(findings.warned());
  maker.safe = 2;  // TPMI_YES_NO
  CHECK(verdict(maker.make(), with_nonce()) == Reason::malformed);
}

TEST_CASE("RSASSA, RSAPSS and P-384 keys given as PEM verify their quotes, with every hash") {
  const Key rsa = rsa_key(2048), p384(EVP_EC_gen("P-384"));
  const auto rsa_ak = AttestationKey::from_file(to_pem(rsa.get())).value();
  const auto ec_ak = AttestationKey::from_file(to_pem(p384.get())).value();
  const Bytes attest = QuoteMaker().make();
  for (const auto& [alg, hash] :
       {std::pair{0x0B, EVP_sha256()}, {0x0C, EVP_sha384()}, {0x0D, EVP_sha512()}}) {
    const auto id = static_cast<std::uint8_t>(alg);
    const Bytes ssa = rsa_signature(0x14, id, sign_with(rsa.get(), hash, attest));
    const Bytes pss = rsa_signature(0x16, id, sign_with(rsa.get(), hash, attest, true));
    CHECK(verdict(rsa_ak, attest, ssa, with_nonce()) == std::nullopt);
    CHECK(verdict(rsa_ak, attest, pss, with_nonce()) == std::nullopt);
    Bytes mixed = ssa;
    mixed[1] = 0x16;
    CHECK(verdict(rsa_ak, attest, mixed, with_nonce()) == Reason::signature);
    const Bytes der = sign_with(p384.get(), hash, attest);
    const unsigned char* at = der.data();
    const Owned<ECDSA_SIG, ECDSA_SIG_free> both(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
    Bytes ecdsa{0x00, 0x18, 0x00, id};
    for (const BIGNUM* part : {ECDSA_SIG_get0_r(both.get()), ECDSA_SIG_get0_s(both.get())}) {
      Bytes number(static_cast<std::size_t>(BN_num_bytes(part)));
      BN_bn2bin(part, number.data());
      test::append_sized(ecdsa, number);
    }
    CHECK(verdict(ec_ak, attest, ecdsa, with_nonce()) == std::nullopt);
    ecdsa.back() ^= 1;
    CHECK(verdict(ec_ak, attest, ecdsa, with_nonce()) == Reason::signature);
    CHECK(verdict(rsa_ak, attest, ecdsa, with_nonce()) == Reason::signature);
  }
}

TEST_CASE(
    "an attestation key of SHA-1, or a signature with another hash than it pins, is refused") {
  const keystore::MemoryKey key = test::new_key();
  const auto area = [&](std::uint8_t name_hash, std::uint8_t scheme_hash) {
    Bytes out;
    test::append(out, 0x0023, 2);
    test::append(out, name_hash, 2);
    test::append(out, 0x00050072, 4);
    test::append_sized(out, ByteView());
    test::append(out, 0x0010, 2);
    test::append(out, 0x0018, 2);
    test::append(out, scheme_hash, 2);
    test::append(out, 0x0003, 2);
    test::append(out, 0x0010, 2);
    test::append_sized(out, key.public_key().x);
    test::append_sized(out, key.public_key().y);
    return out;
  };
  const Bytes attest = QuoteMaker().make();
  const auto digest = keystore::sha256(attest);
  const auto raw = key.sign(digest).value();
  Bytes signature{0x00, 0x18, 0x00, 0x0B};
  test::append_sized(signature, ByteView(raw).first(32));
  test::append_sized(signature, ByteView(raw).last(32));
  const auto pinned = AttestationKey::from_file(area(0x0B, 0x0B)).value();
  CHECK(verdict(pinned, attest, signature, with_nonce()) == std::nullopt);
  const auto other = AttestationKey::from_file(area(0x0B, 0x0C)).value();
  CHECK(verdict(other, attest, signature, with_nonce()) == Reason::algorithm);
  CHECK(AttestationKey::from_file(area(0x04, 0x0B)).error().reason == Reason::algorithm);
  CHECK(AttestationKey::from_file(area(0x0B, 0x04)).error().reason == Reason::algorithm);
}

TEST_CASE("OpenSSL's errors are as before, whatever was refused") {
  const Key rsa = rsa_key(2048);
  const auto ak = AttestationKey::from_file(to_pem(rsa.get())).value();
  const Resigner p256;
  const Bytes attest = QuoteMaker().make();
  keystore::PublicKey off_curve;
  off_curve.x.fill(1);
  const std::string jwk = R"({"keys":[{"kty":"RSA","kid":"1","alg":"PS256","n":")" +
                          base64url(Bytes(256, 0xFF)) + R"(","e":"AQAB"}]})";
  const SubjectAlgorithm pinned[] = {SubjectAlgorithm::ps256};
  const auto person = TrustedKeys::parse(jwk, pinned).value();
  const auto refuse_all = [&] {
    CHECK(verdict(ak, attest, rsa_signature(0x14, 0x0B, Bytes(256, 1)), {}) == Reason::signature);
    CHECK(verdict(ak, attest, rsa_signature(0x16, 0x0B, Bytes(256, 1)), {}) == Reason::signature);
    CHECK(verdict(ak, attest, rsa_signature(0x14, 0x0B, Bytes(3, 1)), {}) == Reason::signature);
    CHECK(verdict(p256.ak, attest, p256.sign(Bytes{1}), {}) == Reason::signature);
    CHECK_FALSE(Es256Verifier::create(off_curve));
    CHECK_FALSE(AttestationKey::from_file(as_bytes("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END")));
    CHECK_FALSE(AttestationKey::from_file(Bytes{0x30, 0x03, 0x02, 0x01, 0x01}));
    CHECK_FALSE(person.find("1")->verify(attest, Bytes(256, 1)));
  };
  ERR_clear_error();
  refuse_all();
  CHECK(ERR_peek_error() == 0);
  ERR_raise(ERR_LIB_USER, 7);  // the caller's
  refuse_all();
  CHECK(ERR_GET_REASON(ERR_get_error()) == 7);
  CHECK(ERR_get_error() == 0);
}

TEST_CASE("a signature with SHA-1 or of a scheme that is not ours is a refusal, not malformed") {
  const Key rsa = rsa_key(2048);
  const auto ak = AttestationKey::from_file(to_pem(rsa.get())).value();
  const Bytes attest = QuoteMaker().make();
  const Bytes sha1 = rsa_signature(0x14, 0x04, sign_with(rsa.get(), EVP_sha1(), attest));
  CHECK(verdict(ak, attest, sha1, {}) == Reason::algorithm);
  for (const int scheme : {0x05, 0x10, 0x1A, 0x1B, 0x1C})
    CHECK(verdict(ak, attest, rsa_signature(static_cast<std::uint8_t>(scheme), 0x0B, Bytes(32, 1)),
                  {}) == Reason::algorithm);
  // Those without a hash, of other lengths and of later registries, too; a DER signature is none.
  for (const int scheme : {0x05, 0x10, 0x1B, 0x60, 0x61, 0x70, 0x71, 0xA1})
    CHECK(verdict(ak, attest, Bytes{0x00, static_cast<std::uint8_t>(scheme)}, {}) ==
          Reason::algorithm);
  for (const Bytes& none :
       {Bytes{0x00}, Bytes{0x00, 0x00, 0x00, 0x0B}, Bytes{0x30, 0x45, 0x02, 0x20}})
    CHECK(verdict(ak, attest, none, {}) == Reason::malformed);
  const Resigner p256;
  Bytes bn_p638{0x00, 0x18, 0x00, 0x0B};  // TPM_ECC_BN_P638: the longest r and s of the registry
  for (int i = 0; i < 2; ++i) append_sized(bn_p638, Bytes(80, 1));
  CHECK(verdict(p256.ak, attest, bn_p638, {}) == Reason::signature);
}
