#include "daemon/calls/authorization_details.h"

#include <algorithm>
#include <boost/json.hpp>

#include "attest/json/strict.h"

namespace badged::calls {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxBytes = 8 * 1024;  // all of it goes into the token
constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxMembers = 256;
constexpr std::size_t kMaxDetails = 16;

Error refused(std::string why) {
  return fail(Errc::refused, "read authorization_details: " + std::move(why),
              "send a JSON array of objects, each with a string member \"type\" (RFC 9396 2)");
}

// False: a number that is no 64-bit integer. Depth is bounded by the parser.
bool append_canonical(std::string& out, const json::value& value) {
  if (const auto* text = value.if_string()) {
    attest::append_json_string(out, *text);
    return true;
  }
  if (value.is_double()) return false;
  if (const auto* array = value.if_array()) {
    out += '[';
    for (const auto& item : *array) {
      if (&item != array->begin()) out += ',';
      if (!append_canonical(out, item)) return false;
    }
    out += ']';
    return true;
  }
  if (const auto* object = value.if_object()) {
    std::vector<const json::key_value_pair*> members;
    for (const auto& member : *object) members.push_back(&member);
    std::sort(members.begin(), members.end(),
              [](const auto* a, const auto* b) { return a->key() < b->key(); });
    out += '{';
    for (const auto* member : members) {
      if (member != members.front()) out += ',';
      attest::append_json_string(out, member->key());
      out += ':';
      if (!append_canonical(out, member->value())) return false;
    }
    out += '}';
    return true;
  }
  out += json::serialize(value);  // null, true, false, integers
  return true;
}

}  // namespace

Result<std::vector<policy::AuthorizationDetail>> parse_authorization_details(
    std::string_view text) {
  const auto parsed =
      attest::parse_strict(text, {.bytes = kMaxBytes, .depth = kMaxDepth, .members = kMaxMembers});
  if (!parsed) return fail(Errc::refused, "read authorization_details: " + parsed.error().what);
  const auto* array = parsed->if_array();
  if (array == nullptr) return refused("it is no array");
  if (array->empty() || array->size() > kMaxDetails)
    return refused("it holds no or too many details");
  std::vector<policy::AuthorizationDetail> details;
  for (const auto& item : *array) {
    const auto* object = item.if_object();
    const auto* type = object == nullptr ? nullptr : object->if_contains("type");
    if (type == nullptr || !type->is_string()) return refused("a detail has no type");
    policy::AuthorizationDetail detail{std::string(type->get_string()), {}};
    if (!append_canonical(detail.json, item)) return refused("a number is no integer");
    details.push_back(std::move(detail));
  }
  return details;
}

}  // namespace badged::calls
