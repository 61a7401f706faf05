// badged.toml: strict, every mistake named with its place.
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/config/config.h"
#include "tests/agents/samples.h"

using namespace badged;
using namespace badged::config;
using agents::Access;
using agents::Autonomy;
using agents::Tier;
using agents::tests::all_of;
using agents::tests::errors_of;
using Catch::Contains;

namespace {

const std::string kIssuer = "issuer = \"https://badged.example.org\"\n";

LoadedConfig parse(const std::string& text) {
  return parse_config(text, "badged.toml", "build-7");
}

Config good(const std::string& text) {
  LoadedConfig loaded = parse(text);
  INFO(all_of(loaded.problems));
  REQUIRE(loaded.config);
  return *loaded.config;
}

std::string bad(const std::string& text) {
  const LoadedConfig loaded = parse(text);
  CHECK_FALSE(loaded.config);
  return errors_of(loaded.problems);
}

}  // namespace

TEST_CASE("an issuer is enough, all else has a default") {
  const Config config = good(kIssuer);
  CHECK(config.issuer == "https://badged.example.org");
  CHECK(config.trust_domain == "badged.example.org");
  CHECK(config.host == "build-7");
  CHECK(config.agents_dir == "/etc/badged/agents.d");
  CHECK(config.state_dir == "/var/lib/badged");
  CHECK(config.agent_socket == "/run/badged/agent.sock");
  CHECK(config.admin_socket == "/run/badged/admin/admin.sock");
  CHECK(config.keystore.kind == StoreKind::tpm);
  CHECK(config.keystore.tcti == "device:/dev/tpmrm0");
  CHECK(config.tiers.map == agents::TierMap());
  CHECK(config.tiers.limits == agents::TierLimitTable());
}

TEST_CASE("accepts the documented configuration word for word") {
  const Config config = good(R"(issuer = "https://badged.example.org"    # required
trust_domain = "example.org"
host = "build-9"                         # default: the host name
agents_dir = "/etc/badged/agents.d/"
state_dir = "/var/lib/badged"            # keys/, state.db, audit.jsonl, publish/
agent_socket = "/run/badged/agent.sock"
admin_socket = "/run/badged/admin/admin.sock"

[keystore]
kind = "tpm"
tcti = "swtpm:path=/tmp/x/swtpm.sock"
)");
  CHECK(config.trust_domain == "example.org");
  CHECK(config.host == "build-9");
  CHECK(config.agents_dir == "/etc/badged/agents.d");
  CHECK(config.keystore.tcti == "swtpm:path=/tmp/x/swtpm.sock");
}

TEST_CASE("an issuer is an https URL, and required") {
  CHECK_THAT(bad(""), Contains("badged.toml:1:1: error: missing 'issuer'"));
  for (const char* issuer :
       {"http://badged.example.org", "badged.example.org", "https://", "https://a/?q",
        "https://a/#f", "https://u@a/", "HTTPS://a.example", "https://a b/"}) {
    CAPTURE(issuer);
    CHECK_THAT(bad("issuer = \"" + std::string(issuer) + "\"\n"), Contains("badged.toml:1:10"));
  }
}

TEST_CASE("unknown keys and wrong types are refused with line, column and hint") {
  const std::string errors =
      bad(kIssuer + "agent_dir = \"/x\"\nstate_dir = 7\n[keystore]\nkinds = \"tpm\"\n[extra]\n");
  INFO(errors);
  CHECK_THAT(errors, Contains("badged.toml:2:1: error: unknown key 'agent_dir'\n"
                              "  hint: did you mean 'agents_dir'?"));
  CHECK_THAT(errors, Contains("badged.toml:3:13: error: 'state_dir' is an integer"));
  CHECK_THAT(errors, Contains("badged.toml:5:1: error: unknown key 'kinds' in [keystore]"));
  CHECK_THAT(errors, Contains("error: unknown key 'extra'"));
}

TEST_CASE("a TCTI string that nothing can be opened with is named with its place") {
  const auto with = [](const std::string& tcti) {
    return kIssuer + "[keystore]\ntcti = \"" + tcti + "\"\n";
  };
  for (const char* tcti :
       {"", "nonsense", "/dev/tpmrm0", "tpm", "device", "device:", "device:tpmrm0",
        "devcie:/dev/tpm0", "swtpm:path", "swtpm:path=", "swtpm:/tmp/x", "swtpm:port=tpm",
        "swtpm:port=70000", "mssim:host=,port=2321", "swtpm:host=a,", ":path=/x",
        "swtpm:path=/a b"}) {
    CAPTURE(tcti);
    const auto errors = bad(with(tcti));
    CHECK_THAT(errors, Contains("badged.toml:3:8: error: "));
    CHECK_THAT(errors, Contains("hint: "));
  }
  for (const char* tcti :
       {"device:/dev/tpm0", "swtpm:path=/tmp/x", "swtpm:host=127.0.0.1,port=2321", "swtpm",
        "tabrmd", "tabrmd:bus_name=com.intel.tss2.Tabrmd,bus_type=session", "mssim:host=localhost",
        "cmd:ssh host tpm2_send", "libtss2-tcti-own.so.0:any", "/opt/lib/own.so",
        "pcap:device:/dev/tpm0"}) {
    CAPTURE(tcti);
    CHECK(good(with(tcti)).keystore.tcti == tcti);
  }
}

TEST_CASE("software keys must be accepted by name") {
  const std::string software = kIssuer + "[keystore]\nkind = \"software\"\n";
  CHECK_THAT(bad(software), Contains("i_accept_software_keys = true"));
  CHECK_THAT(bad(software + "i_accept_software_keys = false\n"), Contains("badged.toml:3:8"));
  const Config config = good(software + "i_accept_software_keys = true\n");
  CHECK(config.keystore.kind == StoreKind::software);
  CHECK(config.keystore.i_accept_software_keys);
  CHECK_FALSE(bad(kIssuer + "[keystore]\nkind = \"none\"\n").empty());
}

TEST_CASE("paths are absolute and plain, sockets fit the kernel's limit") {
  for (const char* path : {"state", "./state", "/a/../b", "/a/./b", "/a//b", "/a/..", "~"}) {
    CAPTURE(path);
    CHECK_FALSE(bad(kIssuer + "state_dir = \"" + path + "\"\n").empty());
  }
  CHECK_FALSE(bad(kIssuer + "agent_socket = \"/" + std::string(107, 's') + "\"\n").empty());
  good(kIssuer + "agent_socket = \"/" + std::string(106, 's') + "\"\n");
  CHECK_THAT(bad(kIssuer + "agent_socket = \"/a\"\nadmin_socket = \"/a\"\n"),
             Contains("the same as 'agent_socket'"));
}

TEST_CASE("logs for evidence may lie elsewhere, or stay on the host") {
  const auto logs = [](const std::string& table) {
    return good(kIssuer + "[evidence]\n" + table).evidence;
  };
  CHECK_FALSE(good(kIssuer).evidence.event_log);
  CHECK_FALSE(logs("attach_logs = true").ima_log);
  CHECK(logs("event_log = \"/a\"").event_log == "/a");
  CHECK(logs("ima_log = \"/a\"\nattach_logs = false").ima_log == "");
  CHECK(logs("attach_logs = false").event_log == "");
  CHECK_THAT(bad(kIssuer + "[evidence]\nevent_log = \"a\""), Contains("no absolute path"));
  CHECK_THAT(bad(kIssuer + "[evidence]\nlogs = false"), Contains("logs"));
}

TEST_CASE("trust domain and host fit into a SPIFFE id") {
  for (const char* line :
       {"trust_domain = \"Example.org\"", "trust_domain = \"a/b\"", "trust_domain = \"\"",
        "host = \"a/b\"", "host = \"..\"", "host = \"a b\"", "host = \"\""}) {
    CAPTURE(line);
    CHECK_FALSE(bad(kIssuer + line + "\n").empty());
  }
  CHECK_FALSE(parse_config(kIssuer, "badged.toml", "not a host").config);
  CHECK_THAT(bad("issuer = \"https://[::1]/\"\n"), Contains("no trust domain"));
}

TEST_CASE("an admin can change the map, and is told where it is less strict") {
  const LoadedConfig loaded =
      parse(kIssuer +
            "[tiers.low]\npublic-read = \"elevated\"\ninternal-read = \"elevated\"\n"
            "[tiers.high]\npublic-read = \"elevated\"\n"
            "[tiers.medium]\npublic-read = \"elevated\"\ninfrastructure = \"elevated\"\n");
  INFO(all_of(loaded.problems));
  REQUIRE(loaded.config);
  CHECK(loaded.config->tiers.map.at(Autonomy::low, Access::public_read) == Tier::elevated);
  CHECK(loaded.config->tiers.map.at(Autonomy::medium, Access::infrastructure) == Tier::elevated);
  REQUIRE(loaded.problems.size() == 1);
  CHECK_THAT(loaded.problems[0].message, Contains("less strict than the default"));
  good(kIssuer +
       "tiers.low = { admin = \"high-assurance\", infrastructure = \"high-assurance\" }\n"
       "tiers.medium = { admin = \"high-assurance\" }\n");
}

TEST_CASE("a map out of order, a row for adaptive and unknown cells are refused") {
  CHECK_THAT(bad(kIssuer + "[tiers.high]\nadmin = \"baseline\"\n"), Contains("out of order"));
  CHECK_THAT(bad(kIssuer + "[tiers.adaptive]\nadmin = \"elevated\"\n"),
             Contains("adaptive agents have no row of their own"));
  CHECK_THAT(bad(kIssuer + "[tiers.low]\nroot = \"elevated\"\n"), Contains("unknown key 'root'"));
  CHECK_THAT(bad(kIssuer + "[tiers.low]\nadmin = \"highest\"\n"), Contains("cannot be 'highest'"));
}

TEST_CASE("limits of a tier can be tightened, not loosened; rates move both ways") {
  const Config config = good(kIssuer +
                             "[limits.baseline]\nmax_lifetime = \"10m\"\nbearer = false\n"
                             "unit_binding = false\ntokens_per_second = 900000\nproof_burst = 1\n"
                             "[limits.high-assurance]\ndefault_lifetime = \"30s\"\n");
  const auto& baseline = config.tiers.limits.of(Tier::baseline);
  CHECK(baseline.max_lifetime == std::chrono::minutes(10));
  CHECK(baseline.default_lifetime == std::chrono::minutes(10));
  CHECK_FALSE(baseline.bearer);
  CHECK_FALSE(baseline.unit_binding);
  CHECK(baseline.tokens.per_second == 900'000);
  CHECK(baseline.proofs.burst == 1);
  CHECK(config.tiers.limits.of(Tier::high_assurance).default_lifetime == std::chrono::seconds(30));
  for (const char* line :
       {"[limits.elevated]\nmax_lifetime = \"16m\"", "[limits.elevated]\nbearer = true",
        "[limits.high-assurance]\nunit_binding = true", "[limits.elevated]\ntoken_burst = 0",
        "[limits.elevated]\nproof_burst = 1000001", "[limits.elevated]\ndefault_lifetime = \"1h\"",
        "[limits.elevated]\ncustody = \"software\"", "[limits.top]\nbearer = false"}) {
    CAPTURE(line);
    CHECK_FALSE(bad(kIssuer + line + "\n").empty());
  }
}

TEST_CASE("a configuration that others can write is not read") {
  std::string directory =
      (std::filesystem::temp_directory_path() / "badged-config-XXXXXX").string();
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  const std::string file = directory + "/badged.toml";
  std::ofstream(file) << kIssuer;
  ::chmod(file.c_str(), 0644);
  CHECK(load_config(file).config);
  ::chmod(file.c_str(), 0666);
  CHECK_THAT(errors_of(load_config(file).problems), Contains("writable by its group or by others"));
  CHECK_FALSE(load_config(file).config);
  std::filesystem::remove_all(directory);
  CHECK_THAT(errors_of(load_config(file).problems), Contains("No such file"));
}

TEST_CASE("another issuer's keys come from a file, with its algorithms pinned") {
  const std::string issuer =
      "[[subject_issuer]]\nissuer = \"https://idp.example.org\"\njwks_file = "
      "\"/etc/badged/idp.json\"\n";
  const Config config = good(kIssuer + issuer + "algorithms = [\"ES256\", \"EdDSA\"]\n");
  REQUIRE(config.subject_issuers.size() == 1);
  const auto& named = config.subject_issuers.front();
  CHECK(named.jwks_file == "/etc/badged/idp.json");
  CHECK(named.algorithms == std::vector{badged::attest::SubjectAlgorithm::es256,
                                        badged::attest::SubjectAlgorithm::eddsa});
  CHECK(named.types == std::vector<std::string>{"at+jwt", "jwt"});
  CHECK(good(kIssuer + issuer + "algorithms = [\"PS256\"]\ntyp = [\"JWT\", \"absent\"]\n")
            .subject_issuers.front()
            .types == std::vector<std::string>{"jwt", ""});

  CHECK_THAT(bad(kIssuer + issuer), Contains("no 'algorithms'"));
  CHECK_THAT(bad(kIssuer + issuer + "algorithms = []\n"), Contains("algorithms"));
  for (const char* algorithm : {"none", "HS256", "es256", "ES384"})
    CHECK_THAT(bad(kIssuer + issuer + "algorithms = [\"" + algorithm + "\"]\n"),
               Contains("cannot hold"));
  CHECK_THAT(bad(kIssuer + issuer + "algorithms = [\"ES256\"]\ntyp = [\"dpop+jwt\"]\n"),
             Contains("cannot be"));
  CHECK_THAT(
      bad(kIssuer + issuer + "algorithms = [\"ES256\"]\n" + issuer + "algorithms = [\"ES256\"]\n"),
      Contains("two [[subject_issuer]]"));
  CHECK_THAT(bad(kIssuer + "[[subject_issuer]]\n" + kIssuer +
                 "jwks_file = \"/x\"\nalgorithms = [\"ES256\"]\n"),
             Contains("badged itself"));
  CHECK_THAT(bad(kIssuer + "[[subject_issuer]]\nissuer = \"https://a\"\njwks_file = \"x\"\n"
                           "algorithms = [\"ES256\"]\n"),
             Contains("no absolute path"));
}
