// authorization_details (RFC 9396): one request, one text; and what is none.
#include "daemon/calls/authorization_details.h"

#include <catch2/catch.hpp>

#include "tests/keystore/result_printer.h"

using namespace badged;
using calls::parse_authorization_details;

namespace {

std::string canonical(std::string_view text) {
  const auto details = parse_authorization_details(text);
  REQUIRE(details);
  std::string out;
  for (const auto& detail : *details) out += detail.type + ": " + detail.json + '\n';
  return out;
}

}  // namespace

TEST_CASE("details are kept in order, each as canonical JSON") {
  CHECK(canonical(R"([{"type":"pay"}])") == "pay: {\"type\":\"pay\"}\n");
  CHECK(canonical(" [ { \"b\" : [ 1 , { \"z\" : null , \"a\" : true } ] , \"type\" : \"pay\" , "
                  "\"a\" : -5 } ] ") ==
        "pay: {\"a\":-5,\"b\":[1,{\"a\":true,\"z\":null}],\"type\":\"pay\"}\n");
  CHECK(canonical(R"([{"type":"b"},{"type":"a","x":18446744073709551615}])") ==
        "b: {\"type\":\"b\"}\na: {\"type\":\"a\",\"x\":18446744073709551615}\n");
  CHECK(canonical(R"([{"t\u0079pe":"p\u0061y \u20ac \"\\\/"}])") ==
        "pay \xe2\x82\xac \"\\/: {\"type\":\"pay \xe2\x82\xac \\\"\\\\/\"}\n");
}

TEST_CASE("the order of members makes no difference") {
  CHECK(canonical(R"([{"type":"pay","amount":5,"to":{"y":1,"x":2}}])") ==
        canonical(R"([{"to":{"x":2,"y":1},"amount":5,"type":"pay"}])"));
}

TEST_CASE("refuses what is no array of typed objects") {
  for (const char* text : {"", "{}", "null", "[]", "[1]", "[[]]", "[{}]", R"([{"type":1}])",
                           R"([{"type":null}])", R"([{"Type":"pay"}])", R"([{"type":"pay"},{}])",
                           R"([{"type":"pay"}] x)", R"({"type":"pay"})", R"([{"type":"pay",}])"})
    CHECK(parse_authorization_details(text).error().code == Errc::refused);
}

TEST_CASE("refuses doubled members, fractions and what is too deep, too long or too many") {
  const auto refused = [](const std::string& text) {
    const auto details = parse_authorization_details(text);
    return !details && details.error().code == Errc::refused;
  };
  CHECK(refused(R"([{"type":"pay","type":"see"}])"));
  CHECK(refused(R"([{"type":"pay","a":{"b":1,"\u0062":2}}])"));
  for (const char* number :
       {"1.5", "1.0", "1e3", "1e400", "0.1", "-1.5e-7", "18446744073709551616"})
    CHECK(refused("[{\"type\":\"pay\",\"n\":" + std::string(number) + "}]"));
  const auto nested = [](std::size_t depth) {
    return "[{\"type\":\"pay\",\"d\":" + std::string(depth, '[') + std::string(depth, ']') + "}]";
  };
  CHECK_FALSE(refused(nested(6)));
  CHECK(refused(nested(7)));
  CHECK(refused(nested(4000)));
  const auto many = [](int count) {
    std::string text = "[{\"type\":\"a\"}";
    for (int i = 1; i < count; ++i) text += ",{\"type\":\"a\"}";
    return text + ']';
  };
  CHECK_FALSE(refused(many(16)));
  CHECK(refused(many(17)));
  CHECK(refused("[{\"type\":\"" + std::string(8192, 'a') + "\"}]"));
}
