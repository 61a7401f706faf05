#include "daemon/front/body.h"

#include <algorithm>
#include <boost/json.hpp>

#include "attest/json/strict.h"
#include "daemon/front/http.h"
#include "daemon/front/limits.h"

namespace badged::front {
namespace {

BadRequest bad(std::string description) {
  return {400, "invalid_request", std::move(description)};
}

const FieldShape* find_shape(const CallShape& call, std::string_view name) {
  const auto found = std::find_if(call.fields.begin(), call.fields.end(),
                                  [&](const FieldShape& field) { return field.name == name; });
  return found == call.fields.end() ? nullptr : &*found;
}

bool seen_before(const std::vector<Field>& fields, std::string_view name) {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const Field& field) { return field.name == name; });
}

bool has_control(std::string_view value) {
  return std::any_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

std::optional<BadRequest> add_field(const FieldShape& shape, std::string value,
                                    std::vector<Field>& out) {
  const std::string name(shape.name);
  if (value.size() > limits::kMaxField) return bad("the field " + name + " is too long");
  if (has_control(value)) return bad("the field " + name + " holds control characters");
  if (value.empty()) return std::nullopt;
  // RFC 6749 3.1: parameters must not be included more than once, save where a standard says so.
  if (!shape.repeatable && seen_before(out, shape.name))
    return bad("the field " + name + " is given twice");
  if (out.size() >= limits::kMaxFields) return bad("too many fields");
  out.push_back({name, std::move(value)});
  return std::nullopt;
}

std::optional<BadRequest> read_pairs(const CallShape& call, std::string_view text,
                                     std::vector<Field>& out) {
  std::size_t pairs = 0;
  std::string name;
  std::string value;
  while (!text.empty()) {
    if (++pairs > limits::kMaxFields) return bad("too many fields");
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    const auto raw = pair.substr(std::min(equals + 1, pair.size()));
    if (!decode_component(pair.substr(0, equals), name) || !decode_component(raw, value))
      return bad("a percent escape is malformed");
    const auto* shape = find_shape(call, name);
    if (shape == nullptr && call.body == BodyKind::query) return bad("unknown query parameter");
    if (shape == nullptr) continue;
    if (auto refused = add_field(*shape, value, out)) return refused;
  }
  return std::nullopt;
}

std::optional<BadRequest> read_object(const CallShape& call, std::string_view text,
                                      std::vector<Field>& out) {
  const auto parsed = attest::parse_strict(
      text, {.bytes = limits::kMaxBody, .depth = 3, .members = limits::kMaxMembers});
  if (!parsed) return bad("the body is not JSON that can be accepted: " + parsed.error().what);
  const auto* object = parsed->if_object();
  if (object == nullptr) return bad("the body must be one JSON object");
  for (const auto& member : *object) {
    const auto* shape = find_shape(call, {member.key().data(), member.key().size()});
    if (shape == nullptr) return bad("the body has a member that this call does not know");
    if (shape->object) {
      if (!member.value().is_object()) return bad(std::string(shape->name) + " must be an object");
      if (auto refused = add_field(*shape, boost::json::serialize(member.value()), out))
        return refused;
      continue;
    }
    const auto* text_value = member.value().if_string();
    if (text_value == nullptr) return bad(std::string(shape->name) + " must be a string");
    if (auto refused = add_field(*shape, std::string(*text_value), out)) return refused;
  }
  return std::nullopt;
}

// The media type alone: parameters such as charset say nothing that we would do differently.
bool is_type(std::string_view content_type, std::string_view wanted) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return std::equal(type.begin(), type.end(), wanted.begin(), wanted.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

}  // namespace

std::optional<BadRequest> read_fields(const CallShape& call, std::string_view content_type,
                                      std::string_view text, std::vector<Field>& out) {
  std::optional<BadRequest> refused;
  switch (call.body) {
    case BodyKind::none:
      if (!text.empty()) return bad("this call takes no body");
      return std::nullopt;
    case BodyKind::query:
      refused = read_pairs(call, text, out);
      break;
    case BodyKind::form:
      if (!is_type(content_type, "application/x-www-form-urlencoded"))
        return bad("Content-Type must be application/x-www-form-urlencoded");
      refused = read_pairs(call, text, out);
      break;
    case BodyKind::json:
      if (!is_type(content_type, "application/json"))
        return bad("Content-Type must be application/json");
      refused = read_object(call, text, out);
      break;
  }
  if (refused) return refused;
  for (const auto& shape : call.fields)
    if (shape.required && !seen_before(out, shape.name))
      return bad("the field " + std::string(shape.name) + " is missing");
  return std::nullopt;
}

}  // namespace badged::front
