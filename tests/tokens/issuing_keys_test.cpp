// Issuing keys: made once, read back, rotated with overlap, never overdue, never made in silence.
#include "daemon/tokens/issuing_keys.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "attest/jose/jws.h"
#include "attest/jose/vouch.h"
#include "tests/tokens/support.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;

namespace {

constexpr std::int64_t kStart = 1'769'903'999;

std::string read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const std::string& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

struct World {
  explicit World(StoreKind kind = StoreKind::software) : fixture(kind) {}
  // As after a restart, on the same files.
  void restart() {
    fixture.reopen();
    gate = std::make_unique<Gate>(fixture.store());
    keys = make();
  }
  Result<void> open(std::int64_t now = kStart) { return loop.run(keys->open(now)); }
  Result<bool> rotate(std::int64_t now) { return loop.run(keys->rotate(now)); }
  std::string current(std::int64_t now) {
    const auto* key = keys->current(now);
    return key == nullptr ? "none" : key->kid;
  }
  std::string file() const { return fixture.path("keys/issuing.json"); }
  std::unique_ptr<IssuingKeys> make() {
    return std::make_unique<IssuingKeys>(loop.io, *gate, file(), kSchedule);
  }

  // First: the store's thread may still be in a post to the loop when its answer is here already.
  Loop loop;
  StoreFixture fixture;
  std::unique_ptr<Gate> gate = std::make_unique<Gate>(fixture.store());
  std::unique_ptr<IssuingKeys> keys = make();
};

}  // namespace

TEST_CASE("the first key signs at once, is kept sealed, and the store's issuer vouches for it") {
  const auto kind = GENERATE(StoreKind::software, StoreKind::tpm);
  World world(kind);
  CHECK(world.current(kStart) == "none");
  REQUIRE(world.open());
  const auto* key = world.keys->current(kStart);
  REQUIRE(key != nullptr);
  CHECK(key->kid == attest::thumbprint(key->key.public_key()));
  CHECK(key->encoded_header == attest::encoded_header(token_header(key->kid)));
  const auto issuer = attest::Es256Verifier::create(world.fixture.store().issuer()->public_key);
  REQUIRE(issuer);
  const auto vouch = attest::verify_vouch(key->vouch, *issuer, key->kid, kStart + 1);
  REQUIRE(vouch.has_value());
  CHECK(vouch->custody == (kind == StoreKind::tpm ? "locked-memory" : "software"));
  CHECK(vouch->expires_at == key->retire);
  CHECK(key->retire >= key->last_use + kSchedule.max_token.count());
  const auto published = world.keys->published();
  REQUIRE(published.size() == 1);
  CHECK(published[0].custody == vouch->custody);
  // Neither the file nor what is published holds the scalar.
  const auto scalar = key->key.export_scalar();
  REQUIRE(scalar);
  const auto secret = as_text((*scalar)->bytes);
  CHECK(read_text(world.file()).find(secret) == std::string::npos);
  CHECK((std::filesystem::status(world.file()).permissions() & std::filesystem::perms::all) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));

  const auto kid = key->kid;
  const auto statement = key->vouch;
  world.restart();
  REQUIRE(world.open(kStart + 60));
  CHECK(world.current(kStart + 60) == kid);
  const auto* again = world.keys->current(kStart + 60);
  REQUIRE(again != nullptr);
  CHECK(again->vouch == statement);
  const auto signature = again->key.sign(Digest{});
  REQUIRE(signature);
  CHECK(verifies(published[0].key, Digest{}, *signature));
}

TEST_CASE(
    "a key is published for a cache lifetime before it signs, and until its tokens are over") {
  World world;
  REQUIRE(world.open());
  const auto a = world.current(kStart);
  // Two cache lifetimes before its end the next one is made, and nothing before.
  for (const std::int64_t early : {0, 1, 2999}) {
    const auto rotated = world.rotate(kStart + early);
    REQUIRE(rotated);
    CHECK_FALSE(*rotated);
  }
  CHECK(world.rotate(kStart + 3000).value());
  CHECK(world.keys->published().size() == 2);
  const auto b = world.keys->published()[1].kid;
  CHECK(world.current(kStart + 3599) == a);
  CHECK(world.current(kStart + 3600) == b);
  CHECK_FALSE(world.rotate(kStart + 3001).value());
  world.restart();
  REQUIRE(world.open(kStart + 3100));
  CHECK(world.current(kStart + 3100) == a);
  CHECK(world.current(kStart + 3600) == b);
  // a's last token ends at 3600 + 1800; a minute more for clocks.
  CHECK_FALSE(world.rotate(kStart + 5459).value());
  CHECK(world.keys->published()[0].kid == a);
  CHECK(world.rotate(kStart + 5460).value());
  REQUIRE(world.keys->published().size() == 1);
  CHECK(world.keys->published()[0].kid == b);
  world.restart();
  REQUIRE(world.open(kStart + 5500));
  CHECK(world.keys->published().size() == 1);
}

TEST_CASE("no key signs after its time, and one made late is published first") {
  World world;
  REQUIRE(world.open());
  CHECK(world.current(kStart - 1) == "none");
  CHECK(world.current(kStart + 3600) == "none");
  const std::int64_t late = kStart + 100'000;
  CHECK(world.rotate(late).value());
  REQUIRE(world.keys->published().size() == 1);
  CHECK(world.current(late + 299) == "none");
  CHECK(world.current(late + 300) == world.keys->published()[0].kid);
}

TEST_CASE("a damaged file is an error, never a new key") {
  World world;
  REQUIRE(world.open());
  const auto good = read_text(world.file());
  auto text = good;
  const auto replaced = [&](const std::string& from, const std::string& to) {
    REQUIRE(text.find(from) != std::string::npos);
    text.replace(text.find(from), from.size(), to);
  };
  SECTION("no JSON") {
    text = "garbage";
  }
  SECTION("empty") {
    text.clear();
  }
  SECTION("cut") {
    text.resize(text.size() / 2);
  }
  SECTION("of a newer version") {
    replaced("\"version\":1", "\"version\":2");
  }
  SECTION("of no version") {
    replaced("\"version\":1", "\"version\":0");
  }
  SECTION("without keys") {
    replaced("\"keys\"", "\"kees\"");
  }
  SECTION("a time is gone") {
    replaced("\"retire\"", "\"retird\"");
  }
  SECTION("the vouch is gone") {
    replaced("\"vouch\"", "\"vouck\"");
  }
  SECTION("a sealed key was changed") {
    const auto at = text.find("\"sealed\":\"") + 40;
    text[at] = text[at] == 'A' ? 'B' : 'A';
  }
  SECTION("a sealed key is no base64url") {
    replaced("\"sealed\":\"", "\"sealed\":\"=");
  }
  write_text(world.file(), text);
  world.restart();
  const auto opened = world.open();
  REQUIRE_FALSE(opened);
  CHECK(world.current(kStart) == "none");
  CHECK(world.keys->published().empty());
  CHECK(read_text(world.file()) == text);
  write_text(world.file(), good);
  CHECK(world.open());
}

TEST_CASE("a file that others can read is refused") {
  World world;
  REQUIRE(world.open());
  std::filesystem::permissions(world.file(), std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  world.restart();
  CHECK_FALSE(world.open());
}

TEST_CASE("another host's sealed keys are refused") {
  World one, other;
  REQUIRE(one.open());
  REQUIRE(other.open());
  write_text(one.file(), read_text(other.file()));
  one.restart();
  CHECK_FALSE(one.open());
}

TEST_CASE("while the store fails no key is made, and afterwards it is") {
  World world;
  SECTION("sealing fails") {
    world.gate->fail_with = fail(Errc::unavailable, "the TPM is away");
  }
  SECTION("vouching fails") {
    world.gate->fail_sign_with = fail(Errc::unavailable, "the TPM is away");
  }
  for (int i = 0; i < 3; ++i) CHECK(world.open().error().code == Errc::unavailable);
  CHECK(world.current(kStart) == "none");
  CHECK_FALSE(std::filesystem::exists(world.file()));
  world.gate->fail_with.reset();
  world.gate->fail_sign_with.reset();
  CHECK(world.open());
  CHECK(world.keys->published().size() == 1);
}

TEST_CASE("a store that is away while reading back is an error, and later a success") {
  World world;
  REQUIRE(world.open());
  const auto kid = world.current(kStart);
  world.restart();
  world.gate->fail_with = fail(Errc::unavailable, "the TPM is away");
  CHECK(world.open().error().code == Errc::unavailable);
  CHECK(world.current(kStart) == "none");
  world.gate->fail_with.reset();
  REQUIRE(world.open());
  CHECK(world.current(kStart) == kid);
}

TEST_CASE("a rotation that fails is tried again, and the old key signs until its end") {
  World world;
  REQUIRE(world.open());
  const auto a = world.current(kStart);
  world.gate->fail_with = fail(Errc::unavailable, "the TPM is away");
  CHECK_FALSE(world.rotate(kStart + 3000));
  CHECK_FALSE(world.rotate(kStart + 3500));
  CHECK(world.current(kStart + 3599) == a);
  CHECK(world.keys->published().size() == 1);
  world.gate->fail_with.reset();
  CHECK(world.rotate(kStart + 3590).value());
  // Late, so nobody signs for a while rather than a key that verifiers cannot know yet.
  CHECK(world.current(kStart + 3600) == "none");
  CHECK(world.current(kStart + 3890) == world.keys->published()[1].kid);
}

TEST_CASE("a key that cannot be saved is not held, and every try may make another") {
  World world;
  // Writing fails where the directory is gone; so does it on a full disk.
  const std::filesystem::path directory = world.fixture.path("keys");
  const std::filesystem::path away = world.fixture.path("away");
  SECTION("the first") {
    std::filesystem::rename(directory, away);
    for (int i = 0; i < 3; ++i) {
      CHECK_FALSE(world.open());
      CHECK(world.current(kStart) == "none");
      CHECK(world.keys->published().empty());
    }
    std::filesystem::rename(away, directory);
    REQUIRE(world.open());
    CHECK(world.keys->published().size() == 1);
  }
  SECTION("the next") {
    REQUIRE(world.open());
    std::filesystem::rename(directory, away);
    for (int i = 0; i < 3; ++i) {
      CHECK_FALSE(world.rotate(kStart + 3000));
      CHECK(world.keys->published().size() == 1);
    }
    std::filesystem::rename(away, directory);
    CHECK(world.rotate(kStart + 3000).value());
    CHECK(world.keys->published().size() == 2);
    const auto next = world.current(kStart + 3600);
    world.restart();
    REQUIRE(world.open(kStart + 3001));
    CHECK(world.current(kStart + 3600) == next);
  }
}
