// The values that a quote is compared with, and the Name that it is signed under.
#include "attest/tpm/qualified_name.h"
#include "attest/tpm/quote.h"
#include "tests/attest/catch.h"
#include "tests/attest/tpm_maker.h"

using namespace badged;
using namespace badged::attest;
using namespace badged::attest::tpm;
using test::vector_file;

namespace {

const std::string kZero(64, '0');

}  // namespace

TEST_CASE("PCR values and selections have one form") {
  for (const char* bad :
       {"[]", R"({"sha256":[]})", R"({"sha256":{"00":""}})", R"({"sha256":{"24":""}})",
        R"({"sha256":{"32":""}})", R"({"sha256":{"-1":""}})", R"({"sha256":{"0":"00"}})",
        R"({"sha256":{"0":7}})", R"({"sha256":{"0":{}}})", ""})
    CHECK(PcrValues::parse(bad).error().code == Errc::malformed);
  CHECK(PcrValues::parse(R"({"sha256":{"0":")" + kZero + R"(","0":")" + kZero + R"("}})")
            .error()
            .code == Errc::malformed);
  CHECK(PcrValues::parse(R"({"sm3_256":{}})").error().code == Errc::refused);
  const auto of_digits = [](const std::string& bank, std::size_t digits) {
    return PcrValues::parse("{\"" + bank + "\":{\"0\":\"" + std::string(digits, '0') + "\"}}");
  };
  for (const auto& [bank, size] :
       {std::pair("sha1", 20u), {"sha256", 32u}, {"sha384", 48u}, {"sha512", 64u}}) {
    CHECK(of_digits(bank, 2 * size).value().all()[0].digest().size() == size);
    for (const unsigned wrong : {0u, 2 * size - 2, 2 * size - 1, 2 * size + 1, 2 * size + 2, 256u})
      CHECK(of_digits(bank, wrong).error().code == Errc::malformed);
  }
  for (const char* bad : {"", "sha256", "sha256:", "sha256:24", "sha256:0,", "sha256:0+",
                          "sha256:0+sha256:1", "md5:0", "sha256:00", "sha256: 0"})
    CHECK_FALSE(parse_selection(bad));
  CHECK(selection_text(parse_selection("sha384:23,0+sha1:2").value()) == "sha384:0,23+sha1:2");
}

TEST_CASE("a qualified Name is the parent's and the Name, hashed") {
  const Bytes name = vector_file("ak.name");
  const Bytes primary = qualified_name_of_primary(Hierarchy::owner, name).value();
  CHECK(primary_in(name, primary) == Hierarchy::owner);
  CHECK(primary_in(name, name) == std::nullopt);
  CHECK(qualified_name_of_child(primary, name).value() != primary);
  CHECK_FALSE(qualified_name_of_child(primary, Bytes{0x00, 0x04}));
}
