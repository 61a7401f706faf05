// What must hold of every request that the codec lets through, whatever bytes it came from.
#pragma once

#include <algorithm>
#include <string_view>

#include "daemon/front/http.h"
#include "daemon/front/limits.h"
#include "tests/fuzz/require.h"

namespace badged::test {

inline bool is_plain_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7f;
  });
}

inline std::ptrdiff_t count_of(const std::vector<front::Field>& fields, std::string_view name) {
  return std::count_if(fields.begin(), fields.end(),
                       [&](const front::Field& field) { return field.name == name; });
}

inline void require_bounded(const front::CallShape& call, const std::vector<front::Field>& fields) {
  require(fields.size() <= front::limits::kMaxFields, "no more fields than the limit");
  for (const auto& field : fields) {
    const auto shape =
        std::find_if(call.fields.begin(), call.fields.end(),
                     [&](const front::FieldShape& known) { return known.name == field.name; });
    require(shape != call.fields.end(), "only fields that the call knows");
    require(!field.value.empty(), "an empty value is an absent field");
    require(field.value.size() <= front::limits::kMaxField, "no field longer than the limit");
    require(is_plain_text(field.value), "no control characters");
    require(shape->repeatable || count_of(fields, field.name) == 1, "a field comes once");
  }
  for (const auto& shape : call.fields)
    require(!shape.required || count_of(fields, shape.name) > 0, "required fields are there");
}

inline void require_answerable(const front::BadRequest& bad) {
  require(bad.status >= 400 && bad.status < 600, "a refusal has a status of its own");
  require(is_plain_text(bad.description) && !bad.description.empty(),
          "a refusal says why in printable words");
  require(std::all_of(bad.description.begin(), bad.description.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x80; }),
          "a refusal's words are ours");
}

inline bool same_fields(const std::vector<front::Field>& a, const std::vector<front::Field>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const front::Field& x, const front::Field& y) {
                      return x.name == y.name && x.value == y.value;
                    });
}

}  // namespace badged::test
