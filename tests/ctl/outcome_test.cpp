#include "daemon/ctl/outcome.h"

#include <catch2/catch.hpp>

#include "daemon/ctl/doctor.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/verbs.h"

using namespace badged;
using namespace badged::ctl;

TEST_CASE("each kind of failure has its exit code") {
  CHECK(to_failure(fail(Errc::refused, "x")).exit == Exit::no);
  CHECK(to_failure(fail(Errc::not_found, "x")).exit == Exit::no);
  CHECK(to_failure(fail(Errc::malformed, "x")).exit == Exit::malformed);
  CHECK(to_failure(fail(Errc::unavailable, "x")).exit == Exit::unreachable);
  CHECK(to_failure(fail(Errc::busy, "x")).exit == Exit::busy);
}

TEST_CASE("text from elsewhere cannot steer a terminal") {
  CHECK(printable("a\x1b[31mb\x7f") == "a?[31mb?");
  CHECK(printable("caf\xc3\xa9") == "caf\xc3\xa9");
  CHECK(printable("\xc2\x9b") == "?");  // a C1 control character: CSI
  CHECK(printable("a\nb") == "a?b");
  CHECK(printable("a\nb", true) == "a\nb");
  CHECK(printable("\xff\xc0\xaf") == "???");
}

TEST_CASE("only well-formed UTF-8 is a JSON string") {
  CHECK(is_utf8("\xf0\x9f\x98\x80"));
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));      // a surrogate
  CHECK_FALSE(is_utf8("\xe0\x80\xaf"));      // overlong
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
  CHECK_FALSE(is_utf8("a\xc3"));
}

TEST_CASE("times before now are told from times") {
  CHECK(parse_since("10m", 10'000).value() == 9'400);
  CHECK(parse_since("2d", 1'000).value() == 0);
  CHECK(parse_since("1700000000", 1).value() == 1'700'000'000);
  CHECK(parse_since("2026-01-31T12:00:00Z", 1).value() == 1'769'860'800);
  for (const char* bad : {"", "m", "10x", "10mm", "-1", "1e9", "9999999999999", "2026-01-31"})
    CHECK(parse_since(bad, 1).has_error());
}

TEST_CASE("forms are encoded byte by byte") {
  CHECK(percent_encode("a b&c=d/\xc3\xa9~") == "a%20b%26c%3Dd%2F%C3%A9~");
  CHECK(token_call({"https://a/", {"x", "y"}, "", false}).body ==
        "grant_type=client_credentials&audience=https%3A%2F%2Fa%2F&scope=x%20y");
}

TEST_CASE("numbers are written as people write them") {
  CHECK(text_at({{"took_ms", 4.847}}, "took_ms") == "4.847");
  CHECK(text_at({{"tokens", 12}}, "tokens") == "12");
}

TEST_CASE("answers with missing members still read") {
  CHECK(whoami_text({}).empty());
  CHECK(status_text({}).find("badged") == std::string::npos);
  CHECK(agents_text({{"agents", boost::json::array{}}}).find("no agent") == 0);
}

TEST_CASE("doctor names what a drop-in loosened") {
  std::string shipped =
      "LoadState=loaded\nActiveState=active\nLimitMEMLOCK=67108864\nLimitCORE=0\n"
      "NoNewPrivileges=yes\nProtectSystem=strict\nPrivateNetwork=yes\nMemoryDenyWriteExecute=yes\n"
      "RestrictNamespaces=yes\n";
  for (const Check& check : check_unit_properties(shipped))
    CHECK(check.verdict == Check::Verdict::ok);

  auto find = [](const Checks& checks, const std::string& name) {
    for (const Check& check : checks)
      if (check.name == name) return check;
    return good("absent", "");
  };
  std::string loose = shipped + "ProtectSystem=no\nLimitMEMLOCK=65536\nLimitCORE=infinity\n";
  Checks checks = check_unit_properties(loose);
  CHECK(find(checks, "sandbox").detail == "loosened: ProtectSystem=no");
  CHECK(find(checks, "memlock").verdict == Check::Verdict::bad);
  CHECK(find(checks, "core-dumps").verdict == Check::Verdict::bad);
  CHECK(check_unit_properties("LoadState=not-found\n")[0].verdict == Check::Verdict::warn);
}

TEST_CASE("doctor tells a missing device from a software store") {
  CHECK(check_tpm({config::StoreKind::tpm, "device:/no/such/tpm", false}).verdict ==
        Check::Verdict::bad);
  CHECK(check_tpm({config::StoreKind::software, "", true}).verdict == Check::Verdict::warn);
  CHECK(check_tpm({config::StoreKind::tpm, "device:/dev/null", false}).verdict ==
        Check::Verdict::warn);
}
