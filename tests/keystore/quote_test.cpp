// PCR values and the quote over them: of a real TPM, of one that others extend meanwhile, of none.
#include <algorithm>
#include <atomic>
#include <cctype>
#include <set>
#include <thread>

#include "keystore/limits.h"
#include "keystore/sha256.h"
#include "tests/keystore/tpm_support.h"

namespace badged::test {

using namespace keystore;

namespace {

constexpr std::uint32_t kPcrRead = 0x17E, kQuote = 0x158;  // TPM_CC
constexpr std::uint32_t kAll = (1U << kPcrs) - 1;

struct Case {
  explicit Case(Swtpm::Kind kind = Swtpm::Kind::manufactured) : tpm(kind), relay(tpm) {}
  Swtpm tpm;
  Relay relay;
  TemporaryDirectory directory;

  Opened open() { return Opened(relay.tcti(), directory / "keys"); }
  std::string tool(const std::vector<std::string>& arguments) {
    return must_run(arguments, relay.tcti(), directory.path());
  }
};

QuoteAsk ask_for(std::vector<PcrSelection> selection) {
  return {sha256(as_bytes("what it is bound to")), std::move(selection)};
}

std::string hex(ByteView bytes) {
  std::string text;
  for (const auto byte : bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

// Part 2, 10.12.1: the digest is the end of the structure; the values are what it is of.
bool is_of_its_values(const Quote& quote) {
  Bytes hashed;
  for (const auto& value : quote.values)
    hashed.insert(hashed.end(), value.value.begin(), value.value.end());
  const Digest digest = sha256(hashed);
  return quote.attest.size() > 32 &&
         std::equal(digest.begin(), digest.end(), quote.attest.end() - 32);
}

// By a program that is not ours, which shares no code with the store.
void check_quote(Case& c, const Identity& identity, const QuoteAsk& ask, const Quote& quote) {
  write_public_pem(c.directory / "ak.pem", identity.ak);
  write_text(c.directory / "attest", std::string(as_text(quote.attest)));
  write_text(c.directory / "signature", std::string(as_text(quote.signature)));
  const auto check = [&](const Digest& extra) {
    return run_program({"tpm2_checkquote", "-u", "ak.pem", "-m", "attest", "-s", "signature", "-g",
                        "sha256", "-q", hex(extra)},
                       {}, c.directory.path())
        .exit_code;
  };
  CHECK(check(ask.extra_data) == 0);
  Digest other = ask.extra_data;
  other[31] ^= 1;
  CHECK(check(other) != 0);
}

// `tpm2_pcrread` has a line "  7 : 0x00AB…" for each PCR, a bank's one after the other.
bool reads_alike(const std::string& listed, const PcrValue& value) {
  std::string wanted = "0x" + hex(value.value);
  std::transform(wanted.begin() + 2, wanted.end(), wanted.begin() + 2, ::toupper);
  return listed.find(wanted) != std::string::npos;
}

}  // namespace

TEST_CASE("quotes PCRs so that tpm2_checkquote agrees, with the values that it quoted", "[tpm]") {
  Case c;
  c.tool({"tpm2_pcrextend", "16:sha256=" + std::string(64, 'a')});
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto identity = opened.store->identity().value();
  for (const std::uint32_t pcrs : {1U << 0, 1U << 16, 0xFFFFU, kAll}) {
    const auto ask = ask_for({{Bank::sha256, pcrs}});
    const auto made = quote(*opened.store, ask, 1000);
    REQUIRE(made);
    CHECK(is_of_its_values(*made));
    check_quote(c, identity, ask, *made);
    std::uint32_t seen = 0;
    for (const auto& value : made->values) {
      CHECK(value.bank == Bank::sha256);
      CHECK(seen >> value.pcr == 0);  // ascending
      seen |= 1U << value.pcr;
      const auto selected = "sha256:" + std::to_string(value.pcr);
      CHECK(reads_alike(c.tool({"tpm2_pcrread", selected}), value));
    }
    CHECK(seen == pcrs);
  }
}

TEST_CASE("quotes every bank that the TPM has, in one order however it is asked", "[tpm]") {
  Case c(Swtpm::Kind::blank);  // a fresh simulator has all four banks
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto ask = ask_for(
      {{Bank::sha512, kAll}, {Bank::sha1, kAll}, {Bank::sha384, 0x5}, {Bank::sha256, kAll}});
  const auto made = quote(*opened.store, ask);
  REQUIRE(made);
  CHECK(is_of_its_values(*made));
  check_quote(c, opened.store->identity().value(), ask, *made);
  REQUIRE(made->values.size() == 24 + 24 + 2 + 24);
  CHECK(made->values.front().bank == Bank::sha1);
  CHECK(made->values.front().value.size() == 20);
  CHECK(made->values.back().bank == Bank::sha512);
  CHECK(made->values.back().value.size() == 64);
}

TEST_CASE("refuses a bank that the TPM lacks, naming those it has, and what is no selection",
          "[tpm]") {
  Case c;  // manufactured with sha256 alone
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto refused = quote(*opened.store, ask_for({{Bank::sha256, 1}, {Bank::sha384, 1}}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::refused);
  CHECK(refused.error().what.find("no bank sha384") != std::string::npos);
  CHECK(refused.error().hint == "it has sha256");
  for (const auto& selection : {std::vector<PcrSelection>{},
                                {{Bank::sha256, 0}},
                                {{Bank::sha256, 1U << 24}},
                                {{Bank::sha256, 1}, {Bank::sha256, 2}},
                                {{Bank{0x0012}, 1}}}) {
    const auto result = quote(*opened.store, ask_for(selection));
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::refused);
  }
  CHECK(quote(*opened.store, ask_for({{Bank::sha256, 1}})));
}

TEST_CASE("reads and quotes anew when a PCR changed between, and is busy when it never ends",
          "[tpm]") {
  Case c;
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  std::atomic<int> lies{0};
  std::atomic<int> quotes{0};
  const auto lie = [&](const Bytes& command, Bytes& answer) {
    if (Relay::command_code(command) == kQuote) ++quotes;
    if (Relay::command_code(command) == kPcrRead && lies-- > 0) answer.back() ^= 1;
  };
  c.relay.tamper(lie);
  lies = 3;
  const auto made = quote(*opened.store, ask_for({{Bank::sha256, 1}}));
  REQUIRE(made);
  CHECK(is_of_its_values(*made));
  CHECK(quotes == 4);

  quotes = 0;
  lies = 1000;
  const auto busy = quote(*opened.store, ask_for({{Bank::sha256, 1}}));
  REQUIRE_FALSE(busy);
  CHECK(busy.error().code == Errc::busy);
  CHECK(quotes == limits::kQuoteTries);
  CHECK(opened.store->state().condition == Condition::ready);
  lies = 0;
}

TEST_CASE("gives values and quote that agree while another program extends", "[tpm]") {
  Case c;
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  std::atomic<bool> stop{false};
  std::atomic<int> extended{0};
  // Catch's assertions belong to one thread: this one only takes down what happened.
  std::string complaint;
  std::thread extender([&] {
    while (!stop && complaint.empty()) {
      const auto done = run_program({"tpm2_pcrextend", "16:sha256=" + std::string(64, 'b')},
                                    c.relay.tcti(), c.directory.path());
      if (done.exit_code != 0) complaint = "tpm2_pcrextend: " + done.output;
      ++extended;
    }
  });
  int good = 0;
  std::set<Bytes> values;
  for (int i = 0; (i < 40 || extended < 10) && i < 4000; ++i) {
    const auto made = quote(*opened.store, ask_for({{Bank::sha256, kAll}}));
    if (!made) {
      CHECK(made.error().code == Errc::busy);
      continue;
    }
    CHECK(is_of_its_values(*made));
    values.insert(made->values[16].value);
    ++good;
  }
  stop = true;
  extender.join();
  CHECK(complaint.empty());
  CHECK(good > 0);
  CHECK(values.size() > 1);
}

TEST_CASE("lets others have their turn between the commands of a quote", "[tpm]") {
  Case c(Swtpm::Kind::blank);
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  const KeyId issuer = opened.store->issuer().value().id;
  std::promise<void> held;
  std::promise<void> release;
  opened.store->sign(issuer, Digest{}, kOwnWork, [&](Result<Signature>) {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();
  // On the store's thread, one after the other.
  std::string order;
  std::promise<void> all;
  const auto note = [&](char what) {
    order += what;
    if (order.size() == 21) all.set_value();
  };
  const auto ask = ask_for({{Bank::sha1, kAll}, {Bank::sha256, kAll}, {Bank::sha384, kAll}});
  for (int i = 0; i < 20; ++i)
    opened.store->quote(ask, 1000, [&](Result<Quote> made) { note(made ? 'q' : 'x'); });
  opened.store->sign(issuer, Digest{}, 1001,
                     [&](Result<Signature> made) { note(made ? 's' : 'x'); });
  release.set_value();
  all.get_future().wait();
  CHECK(order == "s" + std::string(20, 'q'));
}

TEST_CASE("needs no more than three slots for quotes among many session keys", "[tpm]") {
  Case c;
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  std::vector<StoredKey> keys;
  for (int i = 0; i < 8; ++i) keys.push_back(create_key(*opened.store).value());
  for (const auto& key : keys) {
    CHECK(quote(*opened.store, ask_for({{Bank::sha256, kAll}})));
    CHECK(sign(*opened.store, key.id, Digest{}));
    CHECK(create_key(*opened.store));
  }
  CHECK(opened.store->state().condition == Condition::ready);
}

TEST_CASE("quotes after the TPM was restarted, and says so while it is away", "[tpm]") {
  Case c;
  Opened opened(c.tpm.tcti(), c.directory / "keys");
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto ask = ask_for({{Bank::sha256, kAll}});
  c.tpm.restart();
  const auto again = quote(*opened.store, ask);
  REQUIRE(again);
  CHECK(is_of_its_values(*again));
  c.tpm.kill();
  const auto away = quote(*opened.store, ask);
  REQUIRE_FALSE(away);
  CHECK(away.error().code == Errc::unavailable);
  REQUIRE(opened.watch.reaches(Condition::missing));
  c.tpm.start();
  REQUIRE(opened.watch.reaches(Condition::ready));
  CHECK(quote(*opened.store, ask));
}

TEST_CASE("answers each quote once when the store is closed under load", "[tpm]") {
  Case c;
  auto opened = c.open();
  REQUIRE(opened.watch.reaches(Condition::ready));
  std::mutex mutex;
  std::vector<int> answers(60);
  for (std::size_t i = 0; i < answers.size(); ++i)
    opened.store->quote(ask_for({{Bank::sha256, kAll}}), static_cast<Caller>(i % 3),
                        [&, i](Result<Quote>) {
                          const std::lock_guard lock(mutex);
                          ++answers[i];
                        });
  opened.store.reset();
  CHECK(answers == std::vector<int>(answers.size(), 1));
}

TEST_CASE("makes no quote in software, and says why") {
  TemporaryDirectory directory;
  const auto store = open_software_store((directory / "keys").string());
  StateWatch watch(*store);
  REQUIRE(watch.reaches(Condition::ready));
  const auto refused = quote(*store, ask_for({{Bank::sha256, 1}}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::refused);
  CHECK(refused.error().what.find("without a TPM") != std::string::npos);
  CHECK_FALSE(refused.error().hint.empty());
}

}  // namespace badged::test
