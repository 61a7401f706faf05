// Fields out of forms, queries and JSON: what counts, what is refused.
#include "tests/front/support.h"

using namespace badged;
using namespace badged::test;

namespace {

std::string proof_with(std::string_view more) {
  return json(R"({"method":"GET","url":"u","access_token":"t")" + std::string(more) + "}");
}

std::string query(std::string_view text) {
  return refusal(request("GET /v1/audit?" + std::string(text)), Socket::admin);
}

constexpr const char* kNoJson = "400 the body is not JSON that can be accepted";

}  // namespace

TEST_CASE("a form field comes once, save those that a standard repeats") {
  CHECK(refusal(form("grant_type=a&grant_type=a")) == "400 the field grant_type is given twice");
  CHECK(refusal(form("grant_type=a&gr%61nt_typ%65=b")) ==
        "400 the field grant_type is given twice");
  const auto request = accepted(form("audience=x&grant_type=a&audience=y&resource=z&resource=z"));
  CHECK(values_of(request, "audience") == "x|y");
  CHECK(values_of(request, "resource") == "z|z");
}

TEST_CASE("an empty value is an absent field (RFC 6749 3.1)") {
  CHECK(refusal(form("grant_type=")) == "400 the field grant_type is missing");
  CHECK(refusal(form("grant_type")) == "400 the field grant_type is missing");
  CHECK(accepted(form("grant_type=&grant_type=a&scope=")).fields.size() == 1);
  CHECK(refusal(json(R"({"method":"","url":"u","access_token":"t"})")) ==
        "400 the field method is missing");
}

TEST_CASE("unknown form fields are ignored, but counted (RFC 6749 3.2)") {
  CHECK(accepted(form("client_secret=x&grant_type=a&&y=1&=&=z")).fields.size() == 1);
  std::string many = "grant_type=a";
  for (int i = 1; i < 32; ++i) many += "&x=1";
  CHECK(refusal(form(many)) == "accepted");
  CHECK(refusal(form(many + "&x=1")) == "400 too many fields");
  CHECK(refusal(form(std::string(60'000, '&') + "grant_type=a")) == "400 too many fields");
}

TEST_CASE("only '&' and the first '=' have a meaning in a form") {
  const auto request = accepted(form("grant_type=a;scope=b=c&scope=%26%3D%2B+%25"));
  CHECK(request.get("grant_type") == "a;scope=b=c");
  CHECK(request.get("scope") == "&=+ %");
}

TEST_CASE("a percent escape is two hex digits") {
  std::string out;
  CHECK(front::decode_component("%41%7a+%2B", out));
  CHECK(out == "Az +");
  CHECK(front::decode_component("", out));
  CHECK(out.empty());
  CHECK(front::decode_component("%00%fF", out));
  CHECK(out == std::string("\0\xff", 2));
  for (const char* bad : {"%", "%4", "a%", "%zz", "%4g", "%%41", "%u0041", "% 1", "%+1", "%-1"})
    CHECK_FALSE(front::decode_component(bad, out));
  // Not even where more bytes stand behind the text.
  CHECK_FALSE(front::decode_component(std::string_view("%41", 2), out));
  CHECK(refusal(form("grant_type=%4")) == "400 a percent escape is malformed");
  CHECK(refusal(form("grant_type=a&unknown%=1")) == "400 a percent escape is malformed");
}

TEST_CASE("no value holds control characters, however they were written") {
  for (const char* value : {"a%00", "%0a", "a%0d%0aX: y", "%7f", "%1b[31m", "a%09b"})
    CHECK(refusal(form("grant_type=" + std::string(value))) ==
          "400 the field grant_type holds control characters");
  CHECK(refusal(proof_with(R"(,"nonce":"a\u0000")")) ==
        "400 the field nonce holds control characters");
  CHECK(refusal(proof_with(R"(,"nonce":"a\n")")) == "400 the field nonce holds control characters");
  CHECK(query("since=1%0a") == "400 the field since holds control characters");
}

TEST_CASE("a field of 16 KiB is taken, one byte more is not") {
  CHECK(refusal(form("grant_type=" + std::string(16384, 'a'))) == "accepted");
  CHECK(refusal(form("grant_type=" + std::string(16385, 'a'))) ==
        "400 the field grant_type is too long");
  CHECK(refusal(proof_with(",\"nonce\":\"" + std::string(16385, 'a') + '"')) ==
        "400 the field nonce is too long");
}

TEST_CASE("a body comes with its media type") {
  const auto typed = [](std::string_view type) {
    return refusal(request("POST /v1/token", {type}, "grant_type=a"));
  };
  CHECK(typed("Content-Type: Application/X-WWW-Form-Urlencoded; charset=utf-8") == "accepted");
  CHECK(typed("Content-Type: application/x-www-form-urlencoded ;q") == "accepted");
  for (const char* type : {"X-A: b", "Content-Type:", "Content-Type: application/json",
                           "Content-Type: application/x-www-form-urlencodedx",
                           "Content-Type: application/x-www-form-urlencode",
                           "Content-Type: multipart/form-data; boundary=x"})
    CHECK(typed(type) == "400 Content-Type must be application/x-www-form-urlencoded");
  CHECK(refusal(request("POST /v1/proof", {kForm}, "{}")) ==
        "400 Content-Type must be application/json");
}

TEST_CASE("a JSON body is one object of known strings, each once") {
  CHECK(refusal(proof_with("")) == "accepted");
  CHECK(refusal(proof_with(R"(,"iat":1)")) ==
        "400 the body has a member that this call does not know");
  for (const char* other : {"1", "null", "true", "[]", "{}", "[\"a\"]"})
    CHECK(refusal(proof_with(",\"nonce\":" + std::string(other))) == "400 nonce must be a string");
  for (const char* twice : {R"(,"method":"PUT")", R"(,"m\u0065thod":"PUT")", R"(,"url":"u")"})
    CHECK(refusal(proof_with(twice)).starts_with(kNoJson));
  CHECK(refusal(json("[]")) == "400 the body must be one JSON object");
  CHECK(refusal(json("\"method\"")) == "400 the body must be one JSON object");
  CHECK(refusal(json("{}")) == "400 the field method is missing");
}

TEST_CASE("a member that is an object is handed on as text, and nothing else in its place") {
  const auto asked = [](const std::string& pcrs) {
    return refusal(request("POST /v1/evidence", {kJson},
                           R"({"challenge":"c","audience":"a","pcrs":)" + pcrs + '}'));
  };
  CHECK(asked(R"({"sha256":[0,1]})") == "accepted");
  CHECK(asked("{}") == "accepted");  // what it means is the call's to say
  for (const char* other : {"1", "null", "true", "[0]", R"("{\"sha256\":[0]}")"})
    CHECK(asked(other) == "400 pcrs must be an object");
  CHECK(asked(R"({"sha256":[[0]]})").starts_with(kNoJson));
  CHECK(asked(R"({"sha256":[0],"sha256":[1]})").starts_with(kNoJson));
  std::string many = "0";
  for (int i = 0; i < 128; ++i) many += ",0";
  CHECK(asked(R"({"sha256":[)" + many + "]}").starts_with(kNoJson));
  CHECK(asked(R"({"a\u0000b":[0]})") == "accepted");  // escaped still when it is handed on
}

TEST_CASE("a JSON body is strict JSON of bounded depth") {
  for (const std::string& text :
       {std::string(R"({"method":"GET",})"), std::string(R"({"method":"GET"} {})"),
        std::string(R"({method:"GET"})"), std::string("\xef\xbb\xbf{}"), std::string("{"),
        std::string(R"({"url":"\ud800"})"), std::string("{\"url\":\"\xff\"}"),
        "{\"nonce\":" + std::string(10'000, '['), std::string("{\"nonce\":[[\"a\"]]}"),
        "{\"nonce\":" + std::string(200, '9') + "}"})
    CHECK(refusal(json(text)).substr(0, 3) == "400");
  CHECK(refusal(json("{\"nonce\":[[[]]]}")).starts_with(kNoJson));
}

TEST_CASE("a query holds known fields only") {
  CHECK(query("since=1&limit=2") == "accepted");
  CHECK(query("") == "accepted");
  CHECK(refusal(request("GET /v1/audit"), Socket::admin) == "accepted");
  CHECK(query("since=1&all=2") == "400 unknown query parameter");
  CHECK(query("since=1&sinc%65=2") == "400 the field since is given twice");
  CHECK(refusal(request("GET /v1/whoami?"), Socket::admin) == "400 the field pid is missing");
  CHECK(refusal(request("GET /v1/whoami"), Socket::admin) == "400 the field pid is missing");
}

TEST_CASE("a name in the path is not said again elsewhere") {
  CHECK(refusal(request("GET /v1/agents/a?name=b"), Socket::admin) ==
        "400 this call takes no query string");
  CHECK(refusal(request("GET /v1/agents/a", {}, "name=b"), Socket::admin) ==
        "400 this call takes no body");
}
