// What is in the TPM and in the files, looked at with programs and parsers that are not ours.
#include <set>

#include "keystore/limits.h"
#include "keystore/sha256.h"
#include "tests/keystore/tpm_support.h"

namespace badged::test {

using namespace keystore;

namespace {

struct Case {
  explicit Case(Swtpm::Kind kind = Swtpm::Kind::manufactured) : tpm(kind) {}
  Swtpm tpm;
  TemporaryDirectory directory;
  std::filesystem::path keys = directory / "keys";

  std::string tool(const std::vector<std::string>& arguments) {
    return must_run(arguments, tpm.tcti(), directory.path());
  }
};

Bytes name_of(const Bytes& public_area) {
  const Digest digest = sha256(public_area);
  Bytes name{0x00, 0x0B};
  name.insert(name.end(), digest.begin(), digest.end());
  return name;
}

void check_certified(const StoredKey& key, const Identity& identity) {
  const auto& c = key.certification;
  CHECK(certified_name(c.attest) == name_of(c.public_area));
  CHECK(verifies(identity.ak, sha256(c.attest), fixed_signature(c.signature)));
  // The point is the end of the public area.
  const Bytes& area = c.public_area;
  REQUIRE(area.size() > 32);
  CHECK(std::equal(key.public_key.y.begin(), key.public_key.y.end(), area.end() - 32));
}

// A certificate authority of the test, and a certificate for a key that only the TPM can use.
Bytes certify_by_own_ca(Case& c, const std::string& public_pem) {
  must_run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test EK CA"},
           {}, c.directory.path());
  must_run({"openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "unused.key", "-out", "ek.csr", "-subj", "/CN=ek"},
           {}, c.directory.path());
  must_run({"openssl", "x509", "-req", "-in", "ek.csr", "-force_pubkey", public_pem, "-CA",
            "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-outform", "DER", "-out", "ek.der"},
           {}, c.directory.path());
  const std::string der = read_text(c.directory / "ek.der");
  return Bytes(der.begin(), der.end());
}

// With padding behind it, as shipping TPMs have it.
void write_nv(Case& c, const char* index, const Bytes& content, std::size_t padding) {
  std::string padded(content.begin(), content.end());
  padded.append(padding, '\xFF');
  write_text(c.directory / "nv", padded);
  c.tool({"tpm2_nvdefine", index, "-C", "o", "-s", std::to_string(padded.size()), "-a",
          "ownerread|authread|ownerwrite|no_da"});
  c.tool({"tpm2_nvwrite", index, "-C", "o", "-i", "nv"});
}

Identity open_identity(Case& c) {
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  return opened.store->identity().value();
}

}  // namespace

TEST_CASE("certifies the issuer and every session key by the attestation key", "[tpm]") {
  Case c;
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto identity = opened.store->identity().value();
  CHECK(identity.ak_name == name_of(identity.ak_public_area));
  CHECK(identity.manufacturer == "IBM");
  CHECK(identity.firmware.size() == 17);
  check_certified(opened.store->issuer().value(), identity);
  for (int i = 0; i < 5; ++i) check_certified(create_key(*opened.store).value(), identity);
}

TEST_CASE("makes a restricted attestation key and unrestricted signing keys", "[tpm]") {
  Case c;
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto attributes = [](const Bytes& area) {
    return std::uint32_t{area[4]} << 24 | std::uint32_t{area[5]} << 16 |
           std::uint32_t{area[6]} << 8 | area[7];
  };
  // fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, sign; AK also restricted.
  CHECK(attributes(opened.store->identity().value().ak_public_area) == 0x00050472);
  CHECK(attributes(opened.store->issuer().value().certification.public_area) == 0x00040472);
  CHECK(attributes(create_key(*opened.store).value().certification.public_area) == 0x00040472);
}

TEST_CASE("lets another program sign with the issuer's file", "[tpm]") {
  Case c;
  PublicKey issuer;
  {
    Opened opened(c.tpm.tcti(), c.keys);
    REQUIRE(opened.watch.reaches(Condition::ready));
    issuer = opened.store->issuer().value().public_key;
  }
  write_public_pem(c.directory / "issuer.pub", issuer);
  write_text(c.directory / "message", "signed through tpm2-openssl");
  const std::string auth = json_member(read_text(c.keys / "provision.json"), "issuer_auth");
  c.tool({"openssl", "dgst", "-provider", "tpm2", "-provider", "default", "-propquery",
          "?provider=tpm2", "-sha256", "-sign", c.keys / "issuer.pem", "-passin", "pass:" + auth,
          "-out", "signature", "message"});
  CHECK(must_run({"openssl", "dgst", "-sha256", "-verify", "issuer.pub", "-signature", "signature",
                  "message"},
                 {}, c.directory.path())
            .find("Verified OK") != std::string::npos);
}

TEST_CASE("cannot have its attestation key recreated by another process", "[tpm]") {
  Case c;
  const auto identity = open_identity(c);
  const std::string ak_name = json_member(read_text(c.keys / "provision.json"), "ak_name");
  // The same public template, as a primary of each hierarchy and again as a child of the EK.
  for (const char* hierarchy : {"e", "o"}) {
    const auto output =
        c.tool({"tpm2_createprimary", "-C", hierarchy, "-G", "ecc256:ecdsa-sha256:null", "-a",
                "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign", "-c",
                "other.ctx"});
    c.tool({"tpm2_flushcontext", "-t"});
    const auto name =
        c.tool({"tpm2_readpublic", "-c", "other.ctx", "-f", "pem", "-o", "other.pub"});
    CHECK(name.find("name: ") != std::string::npos);
    CHECK(name.find(ak_name) == std::string::npos);
    c.tool({"tpm2_flushcontext", "-t"});
  }
  // Whoever copies the file cannot use the key without its auth value.
  CHECK(read_text(c.keys / "attestation.pem")
            .find(json_member(read_text(c.keys / "provision.json"), "ak_auth")) ==
        std::string::npos);
  CHECK(identity.ak_name.size() == 34);
}

TEST_CASE("keeps others out of the keys that lie in the TPM's slots", "[tpm]") {
  Case c;
  Relay relay(c.tpm);  // as on a TPM without a resource manager: slots are everybody's
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto session = create_key(*opened.store).value();
  write_text(c.directory / "message", "stolen");
  const auto slots = must_run({"tpm2_getcap", "handles-transient"}, relay.tcti());
  int tried = 0;
  for (const char* handle : {"0x80000000", "0x80000001", "0x80000002"}) {
    if (slots.find(handle) == std::string::npos) continue;
    ++tried;
    CHECK(run_program({"tpm2_sign", "-c", handle, "-g", "sha256", "-o", "signature", "message"},
                      relay.tcti(), c.directory.path())
              .exit_code != 0);
  }
  CHECK(tried >= 2);
  CHECK(sign(*opened.store, session.id, sha256(as_bytes("m"))));
}

TEST_CASE("shows neither secrets nor passwords on the bus", "[tpm]") {
  Case c;
  Relay relay(c.tpm);
  std::string traffic;
  std::set<std::uint32_t> with_password;
  const auto note = [&](const Bytes& command, Bytes& answer) {
    traffic += as_text(command);
    traffic += as_text(answer);
    const Bytes password{0x40, 0, 0, 0x09};
    if (std::search(command.begin(), command.end(), password.begin(), password.end()) !=
        command.end())
      with_password.insert(Relay::command_code(command));
  };
  relay.tamper(note);
  const std::string secret = "a canary that must not be seen on any wire";
  {
    Opened opened(relay.tcti(), c.keys);
    REQUIRE(opened.watch.reaches(Condition::ready));
    const auto blob = seal(*opened.store, as_bytes(secret)).value();
    CHECK(as_text(unseal(*opened.store, blob).value()) == secret);
    REQUIRE(create_key(*opened.store));
  }
  CHECK(traffic.find(secret) == std::string::npos);
  const std::string record = read_text(c.keys / "provision.json");
  for (const char* auth : {"ak_auth", "issuer_auth", "seal_auth"})
    CHECK(traffic.find(json_member(record, auth)) == std::string::npos);
  // Empty auths of hierarchies and public NV only: CreatePrimary, EvictControl, NV_Read.
  for (const auto code : with_password) CHECK((code == 0x131 || code == 0x120 || code == 0x14E));
}

TEST_CASE("finds the RSA endorsement key and certificate that the maker left", "[tpm]") {
  Case c;
  const auto identity = open_identity(c);
  CHECK(json_member(read_text(c.keys / "provision.json"), "endorsement") == "rsa-2048");
  write_text(c.directory / "ek.der", std::string(as_text(identity.ek_certificate)));
  const auto text =
      must_run({"openssl", "x509", "-inform", "DER", "-in", "ek.der", "-noout", "-text"}, {},
               c.directory.path());
  CHECK(text.find("2048 bit") != std::string::npos);
}

TEST_CASE("takes the P-384 endorsement key where there is no RSA certificate", "[tpm]") {
  Case c;
  c.tool({"tpm2_nvundefine", "-C", "p", "0x01c00002"});
  const auto identity = open_identity(c);
  CHECK(json_member(read_text(c.keys / "provision.json"), "endorsement") == "p384-high");
  CHECK_FALSE(identity.ek_certificate.empty());
  CHECK(open_identity(c).ak_name == identity.ak_name);
}

TEST_CASE("finds a P-256 endorsement certificate in the low range, without its padding", "[tpm]") {
  Case c(Swtpm::Kind::blank);
  c.tool({"tpm2_createek", "-G", "ecc", "-c", "0x81010002", "-u", "ek.pem", "-f", "pem"});
  const Bytes certificate = certify_by_own_ca(c, "ek.pem");
  write_nv(c, "0x01c0000a", certificate, 300);
  const auto identity = open_identity(c);
  CHECK(json_member(read_text(c.keys / "provision.json"), "endorsement") == "p256");
  CHECK(identity.ek_certificate == certificate);
  CHECK(open_identity(c).ek_certificate == certificate);
}

TEST_CASE(
    "finds the certificates of the endorsement key's issuers, also where one goes on in the "
    "next index",
    "[tpm]") {
  Case c(Swtpm::Kind::blank);
  CHECK(open_identity(c).ek_chain.empty());
  c.tool({"tpm2_createek", "-G", "ecc", "-c", "ek.ctx", "-u", "ek.pem", "-f", "pem"});
  c.tool({"tpm2_flushcontext", "-t"});
  const Bytes first = certify_by_own_ca(c, "ek.pem");
  const Bytes second = certify_by_own_ca(c, "ek.pem");
  Bytes both = first;
  both.insert(both.end(), second.begin(), second.end());
  const auto cut = both.begin() + static_cast<std::ptrdiff_t>(first.size()) + 100;
  write_nv(c, "0x01c00100", Bytes(both.begin(), cut), 0);
  write_nv(c, "0x01c00101", Bytes(cut, both.end()), 50);
  CHECK(open_identity(c).ek_chain == std::vector<Bytes>{first, second});
}

TEST_CASE("makes high-range endorsement keys from their templates", "[tpm]") {
  Case c(Swtpm::Kind::blank);
  const std::string policy =
      "\xCA\x3D\x0A\x99\xA2\xB9\x39\x06\xF7\xA3\x34\x24\x14\xEF\xCF\xB3"
      "\xA3\x85\xD4\x4C\xD1\xFD\x45\x90\x89\xD1\x9B\x50\x71\xC0\xB7\xA0";
  write_text(c.directory / "policy", policy);
  const auto [algorithm, index, id, handle] =
      GENERATE(table<const char*, const char*, const char*, const char*>(
          {{"ecc256:aes128cfb", "0x01c00014", "p256-high", "0x81010014"},
           {"rsa2048:aes128cfb", "0x01c00012", "rsa-2048-high", "0x81010012"}}));
  c.tool(
      {"tpm2_createprimary", "-C", "e", "-G", algorithm, "-L", "policy", "-a",
       "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|adminwithpolicy|restricted|decrypt",
       "-c", "ek.ctx"});
  c.tool({"tpm2_flushcontext", "-t"});
  c.tool({"tpm2_readpublic", "-c", "ek.ctx", "-f", "pem", "-o", "ek.pem"});
  c.tool({"tpm2_flushcontext", "-t"});
  const Bytes certificate = certify_by_own_ca(c, "ek.pem");
  write_nv(c, index, certificate, 0);
  const auto identity = open_identity(c);
  CHECK(json_member(read_text(c.keys / "provision.json"), "endorsement") == id);
  CHECK(identity.ek_certificate == certificate);
  CHECK(c.tool({"tpm2_getcap", "handles-persistent"}).find(handle) != std::string::npos);
  CHECK(open_identity(c).ak_name == identity.ak_name);
}

TEST_CASE("takes no certificate that names another key", "[tpm]") {
  Case c(Swtpm::Kind::blank);
  must_run({"openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "k.pem"}, {},
           c.directory.path());
  must_run({"openssl", "pkey", "-in", "k.pem", "-pubout", "-out", "ek.pem"}, {},
           c.directory.path());
  write_nv(c, "0x01c0000a", certify_by_own_ca(c, "ek.pem"), 0);
  CHECK(open_identity(c).ek_certificate.empty());
}

TEST_CASE("honours a nonce and a template in NV", "[tpm]") {
  const auto ek_of = [](auto prepare) {
    Case c;
    c.tool({"tpm2_nvundefine", "-C", "p", "0x01c00002"});
    c.tool({"tpm2_nvundefine", "-C", "p", "0x01c00016"});
    prepare(c);
    const auto identity = open_identity(c);
    CHECK(open_identity(c).ak_name == identity.ak_name);
    return identity.ek_public_area;
  };
  const Bytes plain = ek_of([](Case&) {});
  CHECK(ek_of([](Case&) {}) == plain);  // the same TPM gives the same key
  CHECK(ek_of([](Case& c) { write_nv(c, "0x01c0000b", Bytes(32, 7), 0); }) != plain);
  // The plain template, but for one bit of its attributes (noDA) and its unique field.
  Bytes own(plain.begin(), plain.end() - 68);
  own[6] |= 0x04;
  for (int i = 0; i < 2; ++i) {
    own.insert(own.end(), {0, 32});
    own.insert(own.end(), 32, 0);
  }
  const Bytes other = ek_of([&](Case& c) { write_nv(c, "0x01c0000c", own, 0); });
  CHECK(other[6] == own[6]);
  CHECK(other != plain);
}

TEST_CASE("uses a key that stands at the endorsement handle and never evicts a stranger's",
          "[tpm]") {
  Case c(Swtpm::Kind::blank);
  c.tool({"tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "stranger.ctx"});
  c.tool({"tpm2_evictcontrol", "-C", "o", "-c", "stranger.ctx", "0x81010002"});
  c.tool({"tpm2_flushcontext", "-t"});
  const auto before = c.tool({"tpm2_readpublic", "-c", "0x81010002"});
  const auto identity = open_identity(c);
  CHECK(open_identity(c).ak_name == identity.ak_name);
  CHECK(c.tool({"tpm2_readpublic", "-c", "0x81010002"}) == before);
}

TEST_CASE("refuses a stranger's key at the storage root's handle", "[tpm]") {
  Case c(Swtpm::Kind::blank);
  c.tool({"tpm2_createprimary", "-C", "o", "-G", "ecc256:ecdsa-sha256:null", "-a",
          "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign", "-c", "stranger.ctx"});
  c.tool({"tpm2_evictcontrol", "-C", "o", "-c", "stranger.ctx", "0x81000001"});
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::failed));
  CHECK(opened.watch.last().message.find("not a storage key") != std::string::npos);
}

TEST_CASE("refuses files that a newer badged wrote, or that were edited", "[tpm]") {
  Case c;
  open_identity(c);
  const auto refuses = [&](const char* file, const std::string& from, const std::string& to) {
    const std::string good = read_text(c.keys / file);
    std::string bad = good;
    const auto at = bad.find(from);
    REQUIRE(at != bad.npos);
    bad.replace(at, from.size(), to);
    write_text(c.keys / file, bad);
    std::string message;
    {
      Opened opened(c.tpm.tcti(), c.keys);
      CHECK(opened.watch.reaches(Condition::failed));
      message = opened.watch.last().message;
      CHECK_FALSE(opened.watch.last().hint.empty());
    }
    CHECK(read_text(c.keys / file) == bad);
    write_text(c.keys / file, good);
    return message;
  };
  CHECK(refuses("provision.json", "\"version\": 1", "\"version\": 2").find("version 2") !=
        std::string::npos);
  refuses("provision.json", "\"version\"", "\"surprise\": \"x\",\n  \"version\"");
  refuses("provision.json", "{", "");
  refuses("issuer.pem", "TSS2 PRIVATE", "EC PRIVATE");
  refuses("issuer.pem", "\n", "\nA");
  // One key's file in place of the other's.
  const std::string issuer = read_text(c.keys / "issuer.pem");
  write_text(c.keys / "issuer.pem", read_text(c.keys / "attestation.pem"));
  {
    Opened opened(c.tpm.tcti(), c.keys);
    CHECK(opened.watch.reaches(Condition::failed));
    CHECK(opened.watch.last().message.find("not the key of the record") != std::string::npos);
  }
  std::filesystem::remove(c.keys / "issuer.pem");
  {
    Opened opened(c.tpm.tcti(), c.keys);
    CHECK(opened.watch.reaches(Condition::failed));
    CHECK_FALSE(std::filesystem::exists(c.keys / "issuer.pem"));
  }
  write_text(c.keys / "issuer.pem", issuer);
  std::filesystem::permissions(c.keys / "issuer.pem", std::filesystem::perms(0600));
  open_identity(c);
}

TEST_CASE("leaves no key and no session in the TPM when it is closed", "[tpm]") {
  Case c;
  {
    Opened opened(c.tpm.tcti(), c.keys);
    REQUIRE(opened.watch.reaches(Condition::ready));
    for (int i = 0; i < 4; ++i) REQUIRE(create_key(*opened.store));
  }
  CHECK(c.tool({"tpm2_getcap", "handles-transient"}).empty());
  CHECK(c.tool({"tpm2_getcap", "handles-loaded-session"}).empty());
}

// About ten seconds: hidden from the default run, a test of its own in ctest.
TEST_CASE("bounds the session keys of the TPM and frees their places", "[.slow]") {
  Case c;
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  std::vector<KeyId> ids;
  for (std::size_t i = 0; i < limits::kTpmSessionKeys; ++i)
    ids.push_back(create_key(*opened.store).value().id);
  CHECK(create_key(*opened.store).error().code == Errc::exhausted);
  destroy(*opened.store, ids[17]);
  CHECK(create_key(*opened.store));
  CHECK(sign(*opened.store, ids[0], sha256(as_bytes("the oldest still signs"))));
}

}  // namespace badged::test
