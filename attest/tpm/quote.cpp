#include "attest/tpm/quote.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "attest/tpm/digest.h"
#include "keystore/owned.h"
#include "keystore/sha256.h"

namespace badged::attest::tpm {

namespace {

std::string about(std::string_view why) {
  return std::string("check the quote: ").append(why);
}

bool equal_in_constant_time(ByteView one, ByteView other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

Checked<void> check_extra_data(const VerifiedQuote& quote, const QuoteExpectation& expect,
                               Findings& findings) {
  const Bytes& extra = quote.attest().extra_data;
  if (!expect.extra_data) {
    findings.skip("nonce", "no nonce was given: the quote may be an old one");
    return {};
  }
  if (!equal_in_constant_time(extra, *expect.extra_data))
    return findings.fail("nonce",
                         reject(Reason::nonce, about("its extraData is not what was asked for"),
                                "the quote is old, or was made for another challenge, key or "
                                "audience"),
                         hex(extra));
  findings.pass("nonce", hex(extra));
  if (extra.empty())
    findings.skip("freshness",
                  "the nonce that was asked for is empty: the quote may be an old one");
  return {};
}

Checked<void> check_banks(const std::vector<PcrSelection>& quoted, QuoteExpectation::Sha1Bank sha1,
                          Findings& findings) {
  const std::string text = selection_text(quoted);
  if (quoted.empty())
    return findings.fail("banks", reject(Reason::selection, about("it covers no PCR at all")),
                         text);
  bool has_sha1 = false;
  for (const auto& selection : quoted) {
    if (bank_name(selection.hash).empty())
      return findings.fail(
          "banks",
          reject(Reason::algorithm, about("a bank is not SHA-1, SHA-256, SHA-384 or SHA-512")),
          text);
    has_sha1 = has_sha1 || selection.hash == Alg::sha1;
  }
  if (has_sha1 && sha1 == QuoteExpectation::Sha1Bank::refuse)
    return findings.fail("banks",
                         reject(Reason::algorithm, about("it covers a bank of SHA-1"),
                                "--allow-sha1-bank accepts it: two different boots may have the "
                                "same values"),
                         text);
  if (has_sha1)
    findings.warn("banks", text, "a bank of SHA-1: two different boots may have the same values");
  else
    findings.pass("banks", text);
  return {};
}

bool names_bank_twice(const std::vector<PcrSelection>& selections) {
  for (auto one = selections.begin(); one != selections.end(); ++one)
    if (std::ranges::find(one + 1, selections.end(), one->hash, &PcrSelection::hash) !=
        selections.end())
      return true;
  return false;
}

// `quoted`: `signed_ones` in their canonical form.
Checked<void> check_selection(const std::vector<PcrSelection>& signed_ones,
                              const std::vector<PcrSelection>& quoted,
                              const QuoteExpectation& expect, Findings& findings) {
  if (!expect.selection) {
    // check_values wants exactly those that the verifier gives.
    if (expect.pcrs != nullptr && !expect.pcrs_are_the_senders) return {};
    if (names_bank_twice(signed_ones))
      return findings.fail("selection", reject(Reason::selection, about("it names a bank twice")),
                           selection_text(signed_ones));
    findings.skip("selection", "no selection was asked for: the sender chose the PCRs");
    return {};
  }
  const auto asked = canonical(*expect.selection);
  const std::string text = selection_text(quoted);
  if (asked != quoted)
    return findings.fail(
        "selection",
        reject(Reason::selection, about("it covers ") + text + ", not " + selection_text(asked)),
        text);
  findings.pass("selection", text);
  return {};
}

// SHA over the values in the order of the selections, each from PCR 0 up (Part 3, 18.4.1).
// Errc::not_found: a quoted value is not there.
Result<Bytes> digest_over(const VerifiedQuote& quote, const PcrValues& values) {
  const EVP_MD* hash = accepted_digest(quote.scheme().hash);
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  if (!context || EVP_DigestInit_ex(context.get(), hash, nullptr) != 1)
    return fail(Errc::internal, "hash the PCR values: OpenSSL fails");
  for (const auto& selection : quote.info().selections)
    for (unsigned pcr = 0; pcr < kPcrCount; ++pcr) {
      if ((selection.pcrs >> pcr & 1) == 0) continue;
      const PcrValue* value = values.find(selection.hash, pcr);
      if (value == nullptr)
        return fail(Errc::not_found, about("no value is given for quoted PCR ") +
                                         std::string(bank_name(selection.hash)) + ":" +
                                         std::to_string(pcr));
      EVP_DigestUpdate(context.get(), value->bytes.data(), value->size);
    }
  Bytes digest(static_cast<std::size_t>(EVP_MD_get_size(hash)));
  if (EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1)
    return fail(Errc::internal, "hash the PCR values: OpenSSL fails");
  return digest;
}

bool is_quoted(const std::vector<PcrSelection>& quoted, const PcrValue& value) {
  for (const auto& selection : quoted)
    if (selection.hash == value.bank) return (selection.pcrs >> value.pcr & 1) == 1;
  return false;
}

Checked<void> check_values(const VerifiedQuote& quote, const std::vector<PcrSelection>& quoted,
                           const QuoteExpectation& expect, Findings& findings) {
  const std::string text = hex(quote.info().digest);
  if (expect.pcrs == nullptr) {
    findings.skip("pcr_values", "no PCR values were given: the digest says nothing by itself");
    return {};
  }
  for (const auto& value : expect.pcrs->all())
    if (!is_quoted(quoted, value))
      return findings.fail(
          "pcr_values",
          reject(Reason::pcr_values,
                 about("a value is given that was not quoted: ") +
                     std::string(bank_name(value.bank)) + ":" + std::to_string(value.pcr),
                 "give the quoted PCRs alone: nobody vouches for others"),
          text);
  auto digest = digest_over(quote, *expect.pcrs);
  if (!digest) return findings.fail("pcr_values", reject(Reason::pcr_values, digest.error()), text);
  if (!equal_in_constant_time(*digest, quote.info().digest))
    return findings.fail(
        "pcr_values",
        reject(Reason::pcr_values, about("the PCR values are not the ones that were quoted")),
        text);
  findings.pass("pcr_values", text);
  return {};
}

}  // namespace

Checked<VerifiedQuote> VerifiedQuote::verify(const AttestationKey& ak, ByteView attest,
                                             ByteView signature, Findings& findings) {
  auto verified = VerifiedAttest::verify(ak, attest, signature);
  if (!verified) return findings.fail("quote_signature", verified.error());
  const SigningScheme scheme = verified->scheme();
  findings.pass("quote_signature", scheme_text(scheme));
  auto parsed = verified->as(AttestType::quote);
  if (!parsed) return findings.fail("quote_type", parsed.error());
  findings.pass("quote_type", std::string(attest_type_name(AttestType::quote)));
  return VerifiedQuote(std::move(*parsed), scheme, keystore::sha256(attest));
}

Checked<void> check_quote(const VerifiedQuote& quote, const QuoteExpectation& expect,
                          Findings& findings) {
  if (auto fits = check_extra_data(quote, expect, findings); !fits) return fits;
  const auto quoted = canonical(quote.info().selections);
  if (auto fits = check_banks(quoted, expect.sha1_bank, findings); !fits) return fits;
  if (auto fits = check_selection(quote.info().selections, quoted, expect, findings); !fits)
    return fits;
  if (auto fits = check_values(quote, quoted, expect, findings); !fits) return fits;
  const ClockInfo& clock = quote.attest().clock;
  const std::string text = std::to_string(clock.clock) + " ms, " +
                           std::to_string(clock.reset_count) + " resets, " +
                           std::to_string(clock.restart_count) + " restarts";
  if (clock.safe)
    findings.pass("clock", text);
  else
    findings.warn("clock", text, "the TPM says that its clock may have gone back (safe is 0)");
  return {};
}

std::string scheme_text(const SigningScheme& scheme) {
  std::string out = scheme.scheme == Alg::ecdsa    ? "ECDSA"
                    : scheme.scheme == Alg::rsapss ? "RSAPSS"
                                                   : "RSASSA";
  return out.append(" with ").append(bank_name(scheme.hash));
}

std::string hex(ByteView bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) out.append({kHex[byte >> 4], kHex[byte & 15]});
  return out;
}

}  // namespace badged::attest::tpm
