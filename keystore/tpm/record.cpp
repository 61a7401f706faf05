#include "keystore/tpm/record.h"

#include <openssl/crypto.h>

#include <map>

#include "keystore/tpm/marshal.h"

namespace badged::keystore::tpm {

namespace {

constexpr std::string_view kVersion = "1";
// The longest Name: 2 bytes of algorithm and SHA-512.
constexpr std::size_t kLongestName = 2 + 64;

using Members = std::map<std::string, std::string, std::less<>>;

// Reads a flat JSON object of strings without escapes and plain numbers: all that we write.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Members> object() {
    Members members;
    if (!token('{')) return std::nullopt;
    do {
      auto name = string();
      if (!name || !token(':')) return std::nullopt;
      auto value = peek() == '"' ? string() : number();
      if (!value || !members.emplace(std::move(*name), std::move(*value)).second)
        return std::nullopt;
    } while (token(','));
    if (!token('}') || peek() != '\0') return std::nullopt;
    return members;
  }

 private:
  char peek() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n')) text_.remove_prefix(1);
    return text_.empty() ? '\0' : text_[0];
  }
  bool token(char wanted) {
    if (peek() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string take(std::size_t size) {
    std::string taken(text_.substr(0, size));
    text_.remove_prefix(size);
    return taken;
  }
  std::optional<std::string> string() {
    if (!token('"')) return std::nullopt;
    const auto end = text_.find_first_of("\"\\\n");
    if (end == text_.npos || text_[end] != '"') return std::nullopt;
    std::string value = take(end);
    text_.remove_prefix(1);
    return value;
  }
  std::optional<std::string> number() {
    peek();
    const auto end = std::min(text_.find_first_not_of("0123456789"), text_.size());
    if (end == 0 || end > 9) return std::nullopt;
    return take(end);
  }

  std::string_view text_;
};

// Takes a member out; what is left at the end is unknown.
std::optional<std::string> take(Members& members, std::string_view name) {
  const auto place = members.find(name);
  if (place == members.end()) return std::nullopt;
  return std::move(members.extract(place).mapped());
}

bool take_text(Members& members, std::string_view name, std::string& to) {
  auto value = take(members, name);
  if (!value || value->empty()) return false;
  to = std::move(*value);
  return true;
}

bool take_name(Members& members, std::string_view name, Bytes& to) {
  const auto value = take(members, name);
  auto bytes = value ? from_hex(*value) : std::nullopt;
  if (!bytes || bytes->empty() || bytes->size() > kLongestName) return false;
  to = std::move(*bytes);
  return true;
}

Fault unreadable(std::string why) {
  return {Kind::failed, fail(Errc::malformed, "read the record of provisioning: " + why,
                             "restore state_dir/keys from a backup, or move it away to re-enrol")};
}

}  // namespace

Record::~Record() {
  for (std::string* auth : {&ak_auth, &issuer_auth, &seal_auth})
    OPENSSL_cleanse(auth->data(), auth->size());
}

std::string to_json(const Record& record) {
  const auto line = [](std::string_view name, const std::string& value) {
    return ",\n  \"" + std::string(name) + "\": \"" + value + "\"";
  };
  return "{\n  \"version\": " + std::string(kVersion) + line("endorsement", record.endorsement) +
         line("srk_name", to_hex(record.srk_name)) + line("ek_name", to_hex(record.ek_name)) +
         line("ak_name", to_hex(record.ak_name)) + line("issuer_name", to_hex(record.issuer_name)) +
         line("ak_auth", record.ak_auth) + line("issuer_auth", record.issuer_auth) +
         line("seal_auth", record.seal_auth) + "\n}\n";
}

Outcome<Record> from_json(ByteView text) {
  auto members = Parser(as_text(text)).object();
  if (!members) return unreadable("malformed");
  const auto version = take(*members, "version");
  if (!version) return unreadable("no version");
  if (*version != kVersion)
    return unreadable("version " + *version + ", and this badged knows " + std::string(kVersion));
  Record record;
  const bool whole = take_text(*members, "endorsement", record.endorsement) &&
                     take_name(*members, "srk_name", record.srk_name) &&
                     take_name(*members, "ek_name", record.ek_name) &&
                     take_name(*members, "ak_name", record.ak_name) &&
                     take_name(*members, "issuer_name", record.issuer_name) &&
                     take_text(*members, "ak_auth", record.ak_auth) &&
                     take_text(*members, "issuer_auth", record.issuer_auth) &&
                     take_text(*members, "seal_auth", record.seal_auth);
  if (!whole) return unreadable("a member is missing or malformed");
  if (!members->empty()) return unreadable("unknown member " + members->begin()->first);
  return record;
}

}  // namespace badged::keystore::tpm
