#include "daemon/ctl/outcome.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <iostream>

namespace badged::ctl {
namespace {

struct Meaning {
  Exit exit;
  const char* error;
};

Meaning meaning(Errc code) {
  switch (code) {
    case Errc::malformed:
      return {Exit::malformed, "malformed"};
    case Errc::refused:
      return {Exit::no, "refused"};
    case Errc::not_found:
      return {Exit::no, "not_found"};
    case Errc::busy:
      return {Exit::busy, "temporarily_unavailable"};
    case Errc::unavailable:
      return {Exit::unreachable, "unreachable"};
    case Errc::changed:
      return {Exit::no, "changed"};
    case Errc::exhausted:
      return {Exit::unreachable, "exhausted"};
    case Errc::internal:
      return {Exit::unreachable, "internal"};
  }
  return {Exit::unreachable, "internal"};
}

boost::json::object as_json(const Failure& failure) {
  boost::json::object object;
  object["error"] = failure.error;
  object["error_description"] = printable(failure.description);
  object["hint"] = printable(failure.hint);
  object["correlation_id"] = failure.correlation_id;
  for (const auto& member : failure.details)
    if (!object.contains(member.key())) object[member.key()] = member.value();
  return object;
}

// How many bytes of well-formed UTF-8 (RFC 3629) stand at the front; 0: none.
std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  std::size_t length = lead < 0x80   ? 1
                       : lead < 0xC2 ? 0
                       : lead < 0xE0 ? 2
                       : lead < 0xF0 ? 3
                       : lead < 0xF5 ? 4
                                     : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  bool beyond = (lead == 0xED && byte(1) > 0x9F) || (lead == 0xF4 && byte(1) > 0x8F);
  return overlong || beyond ? 0 : length;
}

}  // namespace

Failure to_failure(const Error& error) {
  Meaning m = meaning(error.code);
  return {m.exit, m.error, error.what, error.hint, {}};
}

int finish(const Outcome& outcome, bool json) {
  if (outcome.has_error()) {
    const Failure& failure = outcome.error();
    if (json) std::cout << boost::json::serialize(as_json(failure)) << '\n';
    std::cerr << "badgectl: " << printable(failure.description, true) << " ("
              << printable(failure.error) << ")\n";
    if (!failure.hint.empty()) std::cerr << "hint: " << printable(failure.hint) << '\n';
    if (!failure.correlation_id.empty())
      std::cerr << "correlation id: " << printable(failure.correlation_id) << '\n';
    return static_cast<int>(failure.exit);
  }
  const Answer& answer = outcome.value();
  if (!answer.printed && json) std::cout << boost::json::serialize(answer.json) << '\n';
  if (!answer.printed && !json) {
    std::cout << answer.text;
    if (!answer.text.empty() && answer.text.back() != '\n') std::cout << '\n';
  }
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "badgectl: write the result to standard output: it is closed or full\n";
    return static_cast<int>(Exit::unreachable);
  }
  return answer.exit_status >= 0 ? answer.exit_status : static_cast<int>(answer.exit);
}

std::string printable(std::string_view text, bool keep_newlines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t length = utf8_length(text);
    auto lead = static_cast<unsigned char>(text[0]);
    bool control = length == 1 && (lead < 0x20 || lead == 0x7F);
    // U+0080 to U+009F are control characters too: some terminals obey them.
    bool c1 = length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (length == 0 || c1 || (control && !(keep_newlines && lead == '\n')))
      out += '?';
    else
      out += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Answer verdict_no(boost::json::object json, std::string text, std::string_view error,
                  std::string_view description, std::string_view hint) {
  json["error"] = error;
  json["error_description"] = printable(description);
  json["hint"] = printable(hint);
  json["correlation_id"] = "";  // nothing was refused that a record would show
  return Answer{std::move(json), std::move(text), Exit::no};
}

std::string text_at(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  return value ? plain(*value) : std::string();
}

std::string counted(const boost::json::object& object, std::string_view name) {
  const std::string number = text_at(object, name);
  if (number == "1") name.remove_suffix(1);
  return number + ' ' + std::string(name);
}

const boost::json::object* object_at(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  return value ? value->if_object() : nullptr;
}

const boost::json::array* array_at(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  return value ? value->if_array() : nullptr;
}

std::string plain(const boost::json::value& value) {
  if (value.is_null()) return {};
  if (const auto* string = value.if_string()) return printable({string->data(), string->size()});
  if (const auto* array = value.if_array()) {
    std::string joined;
    for (const auto& element : *array) joined += (joined.empty() ? "" : " ") + plain(element);
    return joined;
  }
  if (const auto* number = value.if_double()) {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), *number).ptr;
    return {text.data(), end};
  }
  return printable(boost::json::serialize(value));
}

}  // namespace badged::ctl
