// What verifiers read: complete at every moment, over the socket and as files.
#include "daemon/tokens/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "attest/json/strict.h"
#include "daemon/peers/owned_fd.h"
#include "tests/tokens/support.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kStart = 1'769'903'999;

std::string read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct World {
  // First: the store's thread may still be in a post to the loop when its answer is here already.
  Loop loop;
  StoreFixture fixture{StoreKind::software};
  IssuingKeys keys{loop.io, fixture.store(), fixture.path("keys/issuing.json"), kSchedule};
  std::string directory = fixture.path("publish");
  Publisher publisher{{"https://badged.example.org", "example.org", "build-7"}, directory};
};

}  // namespace

TEST_CASE(
    "the JWKS names the store's issuer and every issuing key, over the socket and as a file") {
  World world;
  CHECK(world.publisher.verifier() == nullptr);
  REQUIRE(world.loop.run(world.keys.open(kStart)));
  REQUIRE(world.publisher.refresh(world.keys, world.fixture.store()));
  CHECK(read_text(world.directory + "/jwks.json") == world.publisher.jwks());
  const auto parsed = attest::Jwks::parse(world.publisher.jwks());
  REQUIRE(parsed);
  REQUIRE(parsed->keys().size() == 2);
  CHECK(parsed->keys()[0].kid == attest::thumbprint(world.fixture.store().issuer()->public_key));
  CHECK(parsed->keys()[1].kid == world.keys.current(kStart)->kid);
  CHECK(std::get<std::string>(parsed->keys()[1].vouch) == world.keys.current(kStart)->vouch);
  CHECK(world.publisher.verifier() != nullptr);
  // Two names and no leftovers; readable by a web server, writable by nobody else.
  CHECK(std::distance(fs::directory_iterator(world.directory), {}) == 2);
  struct stat status {};
  for (const char* name : {"/jwks.json", "/oauth-authorization-server"}) {
    REQUIRE(::stat((world.directory + name).c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0644);
  }
  REQUIRE(::stat(world.directory.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0755);
}

TEST_CASE("the metadata says where the keys are and what is spoken (RFC 8414)") {
  World world;
  REQUIRE(world.publisher.refresh(world.keys, world.fixture.store()));
  CHECK(read_text(world.directory + "/oauth-authorization-server") == world.publisher.metadata());
  const auto parsed = attest::parse_strict_object(world.publisher.metadata());
  REQUIRE(parsed);
  CHECK(attest::string_member(*parsed, "issuer", "").value() == "https://badged.example.org");
  CHECK(attest::string_member(*parsed, "jwks_uri", "").value() ==
        "https://badged.example.org/jwks.json");
  CHECK(parsed->at("dpop_signing_alg_values_supported").as_array().size() == 1);
  CHECK(parsed->at("grant_types_supported").as_array()[0].as_string() == "client_credentials");
}

TEST_CASE("who reads a file while it is replaced reads the old one whole") {
  World world;
  REQUIRE(world.publisher.refresh(world.keys, world.fixture.store()));
  const auto file = world.directory + "/jwks.json";
  const auto old = read_text(file);
  const peers::OwnedFd reader(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(world.loop.run(world.keys.open(kStart)));
  REQUIRE(world.publisher.refresh(world.keys, world.fixture.store()));
  std::string seen(old.size() + 1, '\0');
  const auto got = ::read(reader.get(), seen.data(), seen.size());
  REQUIRE(got >= 0);
  seen.resize(static_cast<std::size_t>(got));
  CHECK(seen == old);
  CHECK(read_text(file) != old);
}

TEST_CASE("a link in the place of a file to be written is not followed") {
  World world;
  REQUIRE(world.publisher.refresh(world.keys, world.fixture.store()));
  const auto target = world.fixture.path("target");
  std::ofstream(target) << "untouched";
  fs::create_symlink(target, world.directory + "/jwks.json.new");
  CHECK_FALSE(world.publisher.refresh(world.keys, world.fixture.store()));
  CHECK(read_text(target) == "untouched");
}

TEST_CASE("a directory that cannot be written is named, and the socket still has the keys") {
  World world;
  std::ofstream(world.directory) << "a file";
  REQUIRE(world.loop.run(world.keys.open(kStart)));
  const auto refreshed = world.publisher.refresh(world.keys, world.fixture.store());
  REQUIRE_FALSE(refreshed);
  CHECK(refreshed.error().what.find(world.directory) != std::string::npos);
  CHECK(attest::Jwks::parse(world.publisher.jwks())->keys().size() == 2);
  CHECK(world.publisher.verifier() != nullptr);
  fs::remove(world.directory);
  CHECK(world.publisher.refresh(world.keys, world.fixture.store()));
}

TEST_CASE("a store that was never ready adds no key") {
  World world;
  const TemporaryDirectory folder;
  std::ofstream(folder / "keys") << "no directory";
  const auto store = keystore::open_software_store((folder / "keys").string());
  IssuingKeys none(world.loop.io, *store, world.fixture.path("keys/other.json"), {});
  REQUIRE(world.publisher.refresh(none, *store));
  CHECK(attest::Jwks::parse(world.publisher.jwks())->keys().empty());
}
