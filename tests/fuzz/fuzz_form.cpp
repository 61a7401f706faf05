// Forms, queries and JSON bodies: bounded fields or a refusal in our own words. A form that was
// read is written again and must mean the same.
//
// The first byte chooses the call, and with it the kind of body.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/front/body.h"
#include "tests/front/calls.h"
#include "tests/fuzz/request_properties.h"

namespace {

using namespace badged;
using namespace badged::test;

std::string_view type_of(BodyKind kind) {
  return kind == BodyKind::json ? "application/json" : "application/x-www-form-urlencoded";
}

std::string encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += "0123456789ABCDEF"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

void require_round_trip(std::string_view text) {
  std::string decoded;
  if (!front::decode_component(text, decoded)) return;
  require(decoded.size() <= text.size(), "decoding only shortens");
  std::string again;
  require(front::decode_component(encode(decoded), again) && again == decoded,
          "what was decoded can be said again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto& call = kCalls[data[0] % kCalls.size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  require_round_trip(text);
  std::vector<front::Field> fields;
  if (const auto bad = front::read_fields(call, type_of(call.body), text, fields)) {
    require_answerable(*bad);
    return 0;
  }
  // A path's own segment is added before the body is read, so its call lacks it here.
  require(call.body != BodyKind::none || (text.empty() && fields.empty()), "no body is no field");
  if (call.body == BodyKind::none) return 0;
  require_bounded(call, fields);
  if (call.body == BodyKind::json) return 0;
  std::string again;
  for (const auto& field : fields)
    again += (again.empty() ? "" : "&") + field.name + '=' + encode(field.value);
  std::vector<front::Field> once_more;
  require(!front::read_fields(call, type_of(call.body), again, once_more) &&
              same_fields(fields, once_more),
          "the same fields, written plainly, are the same request");
  return 0;
}
