// The exact bytes of an answer.
#include "tests/front/support.h"

using namespace badged;
using front::Response;
using front::write_response;

TEST_CASE("an answer is its status, its length and its body, appended to what is there") {
  Response response;
  response.body = R"({"a":1})";
  std::string out = "before";
  write_response(response, true, out);
  CHECK(out ==
        "beforeHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
        "{\"a\":1}");
}

TEST_CASE("an answer says what may be kept, when to come back, and its correlation id") {
  Response response;
  response.status = 503;
  response.content_type = "application/jwk-set+json";
  response.no_store = true;
  response.max_age = 300;
  response.retry_after = 5;
  response.correlation_id = "abc";
  std::string out;
  write_response(response, false, out);
  CHECK(out ==
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/jwk-set+json\r\n"
        "Content-Length: 0\r\nCache-Control: no-store\r\nCache-Control: public, max-age=300\r\n"
        "Retry-After: 5\r\nX-Correlation-Id: abc\r\nConnection: close\r\n\r\n");
}

TEST_CASE("every status that is answered has its phrase") {
  for (const int status :
       {200, 400, 401, 403, 404, 405, 408, 409, 411, 413, 417, 429, 431, 503, 505}) {
    Response response;
    response.status = status;
    std::string out;
    write_response(response, true, out);
    CHECK(out.substr(0, 13) == "HTTP/1.1 " + std::to_string(status) + ' ');
    CHECK(out.find("Error\r\n") == std::string::npos);
  }
}
