// The fixed shape in which a stranger's bytes reach the core: which call, which fields. Every limit
// has been applied; nothing in here is trusted to be true, only to be bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace badged::front {

enum class Socket : std::uint8_t { agent = 1, admin = 2, both = 3 };
enum class Method : std::uint8_t { get, post };
enum class BodyKind : std::uint8_t {
  none,   // a body is refused
  query,  // no body; fields come from the query string
  form,   // application/x-www-form-urlencoded; unknown fields are ignored (RFC 6749 3.2)
  json,   // application/json, one object of strings; unknown members are refused
};

struct FieldShape {
  std::string_view name;
  bool required = false;
  bool repeatable = false;  // RFC 8707 resource and audience may come several times
  bool object = false;      // of a JSON body: an object, handed on as text
};

// What the codec must know of a call. A path that ends in '/' takes one more segment, handed on as
// the field "name".
struct CallShape {
  Method method;
  std::string_view path;
  Socket socket;
  BodyKind body;
  std::span<const FieldShape> fields;
};

struct Field {
  std::string name;
  std::string value;
};

struct Request {
  std::size_t call = 0;  // index into the table of shapes
  std::vector<Field> fields;
  bool no_cache = false;  // Cache-Control: no-cache
  bool keep_alive = true;

  // The only value of a field that is not repeatable.
  std::optional<std::string_view> get(std::string_view name) const {
    for (const auto& field : fields)
      if (field.name == name) return field.value;
    return std::nullopt;
  }
};

// A refusal that the codec itself makes: HTTP status and the JSON error code.
struct BadRequest {
  int status = 400;
  const char* error = "invalid_request";
  std::string description;
};

}  // namespace badged::front
