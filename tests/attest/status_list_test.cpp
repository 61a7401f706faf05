// The status list as a resource server reads it (H16), and as badged makes it.
#include "attest/jose/status_list.h"

#include <zlib.h>

#include "tests/attest/catch.h"
#include "tests/attest/maker.h"

using namespace badged;
using namespace badged::attest;
using namespace badged::test;
namespace json = boost::json;

namespace {

constexpr const char* kUri = "https://badged.example.org/status.jwt";

Bytes deflate(ByteView plain) {
  uLongf size = compressBound(static_cast<uLong>(plain.size()));
  Bytes out(size);
  REQUIRE(compress(out.data(), &size, plain.data(), static_cast<uLong>(plain.size())) == Z_OK);
  out.resize(size);
  return out;
}

// A good list, with the bit of index 9 set; change what you like.
struct ListMaker : TokenMaker {
  Bytes statuses{0x00, 0x02, 0x00};
  json::object list_header{{"alg", "ES256"}, {"typ", "statuslist+jwt"}, {"kid", kid}};
  json::object list{{"iss", kIssuer},     {"sub", kUri}, {"iat", kNow},
                    {"exp", kNow + 3600}, {"ttl", 300},  {"status_list", {{"bits", 1}}}};

  std::string make_list() {
    auto* inner = list["status_list"].if_object();
    if (inner != nullptr && !inner->contains("lst")) (*inner)["lst"] = base64url(deflate(statuses));
    return sign_jws(issuer, json::serialize(list_header), json::serialize(list));
  }
  Checked<StatusList> verify(std::int64_t now = kNow) {
    return StatusList::verify(make_list(), jwks(), kIssuer, now);
  }
  Reason refusal(std::int64_t now = kNow) {
    const auto verified = verify(now);
    if (verified) throw std::logic_error("the list was accepted");
    return verified.error().reason;
  }
};

Checked<void> look_up(const StatusList& list, std::uint64_t index, const char* uri = kUri) {
  return list.check(StatusReference{index, uri});
}

}  // namespace

TEST_CASE("a list says which tokens are revoked: the first is the lowest bit") {
  ListMaker maker;
  const auto list = maker.verify();
  REQUIRE(list);
  for (std::uint64_t index = 0; index < 24; ++index) {
    const auto status = look_up(*list, index);
    CHECK(status.has_value() == (index != 9));
    if (!status) CHECK(status.error().reason == Reason::revoked);
  }
  CHECK(list->ttl() == 300);
}

TEST_CASE("the example of the draft reads as it says") {
  // draft-ietf-oauth-status-list, 4.1: 16 statuses of one bit.
  ListMaker maker;
  maker.list["status_list"].as_object()["lst"] = "eNrbuRgAAhcBXQ";
  const auto list = maker.verify();
  REQUIRE(list);
  const int statuses[] = {1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1};
  for (std::uint64_t index = 0; index < 16; ++index)
    CHECK(look_up(*list, index).has_value() == (statuses[index] == 0));
}

TEST_CASE("statuses of several bits: anything but VALID refuses") {
  ListMaker maker;
  maker.list["status_list"].as_object()["bits"] = 2;
  maker.statuses = {0b11'10'01'00};
  const auto list = maker.verify();
  REQUIRE(list);
  CHECK(look_up(*list, 0));
  for (std::uint64_t index = 1; index < 4; ++index) CHECK_FALSE(look_up(*list, index));
  CHECK(look_up(*list, 4).error().reason == Reason::no_status);
}

TEST_CASE("H16: an index out of range, another list and no reference are refused") {
  ListMaker maker;
  const auto list = maker.verify();
  REQUIRE(list);
  CHECK(look_up(*list, 24).error().reason == Reason::no_status);
  CHECK(look_up(*list, ~std::uint64_t{0}).error().reason == Reason::no_status);
  CHECK(look_up(*list, 0, "https://badged.example.org/other.jwt").error().reason ==
        Reason::no_status);
  CHECK(list->check(std::nullopt).error().reason == Reason::no_status);
}

TEST_CASE("H16: an expired list, and one from the future, say nothing") {
  ListMaker maker;
  CHECK(maker.refusal(kNow + 3600) == Reason::expired);
  CHECK(maker.refusal(kNow - kFutureLeeway - 1) == Reason::not_yet_valid);
  maker.list["nbf"] = kNow + kFutureLeeway;
  CHECK(maker.verify());
  maker.list["nbf"] = kNow + kFutureLeeway + 1;
  CHECK(maker.refusal() == Reason::not_yet_valid);
  maker.list["nbf"] = "now";
  CHECK(maker.refusal() == Reason::bad_claim);
}

TEST_CASE("H16: a list that does not expire grows old: by its ttl, else by our bound") {
  ListMaker maker;
  CHECK(maker.verify(kNow + 3599));  // exp decides, where there is one
  maker.list.erase("exp");
  CHECK(maker.verify(kNow + 300));
  CHECK(maker.refusal(kNow + 301) == Reason::expired);
  maker.list["ttl"] = 100'000;
  CHECK(maker.verify(kNow + 100'000));
  maker.list.erase("ttl");
  CHECK(maker.verify(kNow + kStatusListMaxAge));
  CHECK(maker.refusal(kNow + kStatusListMaxAge + 1) == Reason::expired);
}

TEST_CASE("H16: a list that is too long after inflation is refused without taking the memory") {
  ListMaker maker;
  maker.statuses.assign(kStatusListBytes, 0);
  CHECK(maker.verify());
  ListMaker longer;
  longer.statuses.assign(kStatusListBytes + 1, 0);
  CHECK(longer.refusal() == Reason::too_large);
  // 1 GB of zeros are 1 MB: the inflater stops at the bound.
  const Bytes zeros(64 * 1024 * 1024, 0);
  const auto bomb = deflate(zeros);
  const auto inflated = inflate_bounded(bomb, 1000);
  REQUIRE_FALSE(inflated);
  CHECK(inflated.error().code == Errc::exhausted);
}

TEST_CASE("what is no whole zlib stream is malformed") {
  const auto good = deflate(Bytes{1, 2, 3, 4});
  CHECK(inflate_bounded(good, 100).value() == Bytes{1, 2, 3, 4});
  CHECK(inflate_bounded(good, 4));
  CHECK(inflate_bounded(good, 3).error().code == Errc::exhausted);
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK(inflate_bounded(ByteView(good).first(size), 100).error().code == Errc::malformed);
  auto trailing = good;
  trailing.push_back(0);
  CHECK_FALSE(inflate_bounded(trailing, 100));
  auto flipped = good;
  flipped.back() ^= 1;  // the checksum
  CHECK_FALSE(inflate_bounded(flipped, 100));
}

TEST_CASE("a list that is wrong in one way is refused") {
  const auto refused = [](auto change) {
    ListMaker maker;
    change(maker);
    return maker.refusal();
  };
  const auto claim = [&](const char* name, json::value value) {
    return refused([&](ListMaker& maker) { maker.list[name] = value; });
  };
  const auto inner = [&](const char* name, json::value value) {
    return refused([&](ListMaker& maker) { maker.list["status_list"].as_object()[name] = value; });
  };
  CHECK(refused([](ListMaker& m) { m.list_header["typ"] = "at+jwt"; }) == Reason::type);
  CHECK(refused([](ListMaker& m) { m.list_header["alg"] = "none"; }) == Reason::algorithm);
  CHECK(refused([](ListMaker& m) { m.list_header["kid"] = "other"; }) == Reason::unknown_key);
  ListMaker forged;
  const auto by_another_key =
      sign_jws(new_key(), json::serialize(forged.list_header), json::serialize(forged.list));
  CHECK(StatusList::verify(by_another_key, forged.jwks(), kIssuer, kNow).error().reason ==
        Reason::signature);
  CHECK(claim("iss", "https://evil.example") == Reason::issuer);
  CHECK(claim("iat", "now") == Reason::bad_claim);
  CHECK(claim("exp", 1e300) == Reason::bad_claim);
  CHECK(claim("ttl", 0) == Reason::bad_claim);
  CHECK(claim("ttl", -1) == Reason::bad_claim);
  CHECK(claim("sub", nullptr) == Reason::bad_claim);
  CHECK(claim("status_list", "x") == Reason::bad_claim);
  CHECK(inner("bits", 3) == Reason::bad_claim);
  CHECK(inner("bits", "1") == Reason::bad_claim);
  CHECK(inner("lst", 1) == Reason::bad_claim);
  CHECK(inner("lst", "eNrbuRgAAhcBXQ==") == Reason::malformed);
  CHECK(inner("lst", "AAAA") == Reason::malformed);
}

TEST_CASE("a token's reference is read strictly") {
  const auto read = [](json::value status) {
    return status_reference(json::object{{"status", std::move(status)}});
  };
  CHECK_FALSE(status_reference({}).value());
  const auto good = read({{"status_list", {{"idx", 7}, {"uri", kUri}}}});
  REQUIRE((good && *good));
  CHECK((*good)->index == 7);
  CHECK((*good)->uri == kUri);
  for (const json::value& bad :
       {json::value("x"), json::value(json::object{}), json::value{{"status_list", 1}},
        json::value{{"status_list", {{"idx", -1}, {"uri", kUri}}}},
        json::value{{"status_list", {{"idx", "1"}, {"uri", kUri}}}},
        json::value{{"status_list", {{"idx", 1.5}, {"uri", kUri}}}},
        json::value{{"status_list", {{"idx", 1}}}}})
    CHECK_FALSE(read(bad));
}

TEST_CASE("the list that badged makes is one that it reads") {
  ListMaker maker;
  const Bytes statuses{0x01, 0x80};
  const auto payload = status_list_payload({kIssuer, kUri, kNow, kNow + 3600, 300}, statuses);
  REQUIRE(payload);
  const auto list = StatusList::verify(
      sign_jws(maker.issuer, status_list_header(maker.kid), *payload), maker.jwks(), kIssuer, kNow);
  REQUIRE(list);
  CHECK(list->subject() == kUri);
  CHECK_FALSE(look_up(*list, 0));
  CHECK(look_up(*list, 1));
  CHECK_FALSE(look_up(*list, 15));
}
