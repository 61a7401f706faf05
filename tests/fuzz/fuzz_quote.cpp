// Quotes: the input as an attestation that the pinned key signed, and as a signature by it.
#include "attest/tpm/quote.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/signer.h"

namespace {

using namespace badged;
using namespace badged::attest;
using namespace badged::attest::tpm;

const fuzz::Signer& signer() {
  static const fuzz::Signer made;
  return made;
}

const AttestationKey& ak() {
  static const AttestationKey made = AttestationKey::from_key(signer().key).value();
  return made;
}

void check_attest(ByteView attest) {
  const Signature raw = signer().sign(keystore::sha256(attest));
  Bytes signature{0x00, 0x18, 0x00, 0x0B, 0x00, 0x20};
  signature.insert(signature.end(), raw.begin(), raw.begin() + 32);
  signature.insert(signature.end(), {0x00, 0x20});
  signature.insert(signature.end(), raw.begin() + 32, raw.end());
  Findings findings;
  const auto quote = VerifiedQuote::verify(ak(), attest, signature, findings);
  if (!quote) return;
  require(quote->attest().magic == kGeneratedValue && quote->attest().type == AttestType::quote,
          "only a TPM's quote is one");
  QuoteExpectation expect;
  expect.sha1_bank = QuoteExpectation::Sha1Bank::warn;
  const auto quoted = canonical(quote->info().selections);
  if (check_quote(*quote, expect, findings))
    require(!quoted.empty() && parse_selection(selection_text(quoted)).value() == quoted,
            "a good quote covers PCRs of banks that we know");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  if (data[0] % 2 == 0)
    check_attest(rest);
  else
    require(!ak().verify(as_bytes("what nobody signed"), rest), "nobody signs by chance");
  return 0;
}
