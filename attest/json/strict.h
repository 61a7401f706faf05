// JSON (RFC 8259) as a security protocol needs it: one text, one meaning.
//
// Refused: duplicate members (at any depth, after unescaping), trailing data, invalid UTF-8 and
// lone surrogates, numbers that no double or 64 bit integer holds, and anything beyond the limits.
// The limits hold while parsing, before memory is taken.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string_view>

#include "attest/limits.h"
#include "keystore/result.h"

namespace badged::attest {

struct JsonLimits {
  std::size_t bytes = kJsonBytes;
  std::size_t depth = kJsonDepth;      // of arrays and objects within each other
  std::size_t members = kJsonMembers;  // members and elements, in the whole document
};

Result<boost::json::value> parse_strict(std::string_view text, const JsonLimits& limits = {});

// The same, and the document is an object.
Result<boost::json::object> parse_strict_object(std::string_view text,
                                                const JsonLimits& limits = {});

// Members by name. `where` names the document in errors ("the token's claims"). Views live as long
// as the object. An integer written as 1.0, 1e3 or "1" is refused, as is one outside int64.
Result<std::string_view> string_member(const boost::json::object& from, std::string_view name,
                                       std::string_view where);
Result<std::int64_t> integer_member(const boost::json::object& from, std::string_view name,
                                    std::string_view where);
// The same, where it is there: seconds since 1970 that are no time of ours (negative, or after
// kLatestTime) are refused.
Result<std::optional<std::int64_t>> optional_time(const boost::json::object& from,
                                                  std::string_view name, std::string_view where);
Result<const boost::json::object*> object_member(const boost::json::object& from,
                                                 std::string_view name, std::string_view where);

// Absent is nullopt (null is not absent); present with another type is an error.
Result<std::optional<std::string_view>> optional_string(const boost::json::object& from,
                                                        std::string_view name,
                                                        std::string_view where);
Result<std::optional<std::int64_t>> optional_integer(const boost::json::object& from,
                                                     std::string_view name, std::string_view where);

// `text` with each byte that is no part of well-formed UTF-8 (RFC 3629) as "\\xHH": names of files
// are bytes, JSON is UTF-8 (RFC 8259 8.1).
std::string as_utf8(std::string_view text);

// Appends `text` as a JSON string with its quotes, by way of as_utf8().
void append_json_string(std::string& out, std::string_view text);

}  // namespace badged::attest
