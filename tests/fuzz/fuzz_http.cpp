// A request's bytes: bounded fields or a refusal in our own words, the same however the bytes were
// cut in pieces and whatever follows them.
//
// The first byte chooses the socket and the size of the pieces.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/front/calls.h"
#include "tests/fuzz/request_properties.h"

namespace {

using namespace badged;
using namespace badged::test;

front::Outcome parse(std::string_view bytes, Socket socket) {
  std::size_t scanned = 0;
  return front::parse_request(bytes, kCalls, socket, scanned);
}

// As a connection feeds them: never before as many bytes are there as were asked for.
front::Outcome feed(std::string_view bytes, Socket socket, std::size_t piece) {
  std::size_t scanned = 0;
  std::size_t need = 1;
  front::Outcome outcome = front::NeedMore{1};
  for (std::size_t size = std::min(piece, bytes.size());;
       size = std::min(size + piece, bytes.size())) {
    if (size >= need) {
      outcome = front::parse_request(bytes.substr(0, size), kCalls, socket, scanned);
      const auto* more = std::get_if<front::NeedMore>(&outcome);
      if (more == nullptr) return outcome;
      require(more->at_least > size, "more bytes than there are");
      require(more->at_least <= front::limits::kMaxHeader + front::limits::kMaxBody,
              "no more bytes than the limits allow");
      need = more->at_least;
    }
    if (size == bytes.size()) return outcome;
  }
}

void require_same(const front::Outcome& a, const front::Outcome& b) {
  require(a.index() == b.index(), "pieces make no difference");
  if (const auto* bad = std::get_if<front::BadRequest>(&a)) {
    require(bad->status == std::get<front::BadRequest>(b).status, "the same refusal");
    require(bad->description == std::get<front::BadRequest>(b).description, "the same words");
  }
  if (const auto* parsed = std::get_if<front::Parsed>(&a)) {
    const auto& other = std::get<front::Parsed>(b);
    require(parsed->used == other.used && parsed->request.call == other.request.call &&
                parsed->request.no_cache == other.request.no_cache &&
                parsed->request.keep_alive == other.request.keep_alive &&
                same_fields(parsed->request.fields, other.request.fields),
            "the same request");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto socket = (data[0] & 1) != 0 ? Socket::admin : Socket::agent;
  // Single bytes are worth it for short inputs only.
  const std::size_t piece = size < 512 ? 1 + (data[0] >> 1) % 16 : 1 + (data[0] >> 1) * 16;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = parse(bytes, socket);
  require_same(whole, feed(bytes, socket, piece));
  if (const auto* bad = std::get_if<front::BadRequest>(&whole)) require_answerable(*bad);
  const auto* parsed = std::get_if<front::Parsed>(&whole);
  if (parsed == nullptr) return 0;
  require(parsed->used > 0 && parsed->used <= bytes.size(), "no more bytes used than are there");
  require(parsed->request.call < kCalls.size(), "a call of the table");
  const auto& call = kCalls[parsed->request.call];
  require((static_cast<unsigned>(call.socket) & static_cast<unsigned>(socket)) != 0,
          "a call of this socket");
  require_bounded(call, parsed->request.fields);
  require_same(whole, parse(bytes.substr(0, parsed->used), socket));
  require_same(whole, parse(std::string(bytes) + "GET / HTTP/1.1\r\n", socket));
  return 0;
}
