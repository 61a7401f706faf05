// The text of a record, without the host: reads like the file's shape.
#include <algorithm>
#include <utility>

#include "daemon/agents/audience.h"
#include "daemon/agents/grant_url.h"
#include "daemon/agents/record.h"
#include "daemon/agents/toml_reader.h"
#include "daemon/agents/unit_name.h"

namespace badged::agents {
namespace {

bool is_agent_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

std::string_view stem_of(std::string_view file) {
  file = file.substr(file.rfind('/') + 1);  // npos + 1 is 0
  return file.ends_with(".toml") ? file.substr(0, file.size() - 5) : file;
}

std::optional<Digest> digest_from_hex(std::string_view text) {
  if (text.size() != 64) return std::nullopt;
  Digest digest{};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    unsigned nibble = 0;
    if (c >= '0' && c <= '9') {
      nibble = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      nibble = static_cast<unsigned>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      nibble = static_cast<unsigned>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
    digest[i / 2] = static_cast<std::uint8_t>((digest[i / 2] << 4) | nibble);
  }
  return digest;
}

// Sorts and takes out doubles, which are harmless but never meant.
template <class T>
void make_set(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// A scale that only ranks: absent, the worst is assumed and said.
template <class T, class From>
T scale(TomlTable& doc, std::string_view key, T worst, From from, std::string_view choices) {
  if (!doc.has(key)) {
    doc.warn(key,
             "no '" + std::string(key) + "': counted as '" + std::string(to_string(worst)) + "'",
             "say what it is");
  }
  return doc.word(key, Need::optional, from, choices).value_or(worst);
}

void read_uid(TomlTable& table, Match& match) {
  const auto* node = table.any("uid");
  if (node == nullptr) return;
  match.uid_at = table.at("uid");
  if (const auto* number = node->as_integer()) {
    // 2^32 - 1 means "no uid" to the kernel.
    if (number->get() < 0 || number->get() > 4'294'967'294) {
      table.error("uid", "'uid' in [match] is no uid: " + std::to_string(number->get()),
                  "a name, or a number from 0 to 4294967294");
      return;
    }
    match.uid_text = std::to_string(number->get());
    match.uid = static_cast<uid_t>(number->get());
    return;
  }
  const auto* name = node->as_string();
  const bool good = name != nullptr && !name->get().empty() && name->get().size() <= 256 &&
                    is_printable_word(name->get()) &&
                    name->get().find_first_of(":/") == std::string::npos;
  if (!good) {
    table.error("uid", "'uid' in [match] is no user",
                "a user's name in quotes, or a number without quotes");
    return;
  }
  const bool digits = std::all_of(name->get().begin(), name->get().end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (digits) {
    table.error("uid", "'uid' in [match] is a number in quotes: " + quoted(name->get()),
                "write it without quotes");
    return;
  }
  match.uid_text = name->get();
}

void read_executable(TomlTable& table, Match& match) {
  match.executable_at = table.at("executable");
  if (auto path = table.text("executable", Need::optional, kMaxPathBytes)) {
    if (path->front() != '/') {
      table.error("executable", "'executable' in [match] is no absolute path: " + quoted(*path),
                  "start it with /");
    } else if (path->ends_with(" (deleted)")) {
      // The kernel shows a deleted file this way: the two could not be told apart.
      table.error("executable", "'executable' in [match] ends in ' (deleted)'", "name the file");
    } else {
      match.executable = std::move(*path);
    }
  }
  for (const auto& item : table.texts("executable_sha256", kMaxDigests, 128)) {
    if (const auto digest = digest_from_hex(item.text)) {
      match.executable_sha256.push_back(*digest);
    } else {
      table.error("executable_sha256", "no SHA-256 in hex: " + quoted(item.text),
                  "64 hex digits, as sha256sum prints them");
    }
  }
  make_set(match.executable_sha256);
  if (table.has("executable_sha256") && match.executable_sha256.empty()) {
    table.error("executable_sha256", "'executable_sha256' in [match] lists no digest",
                "list at least one or take the line out");
  }
}

void read_match(TomlTable& table, Record& record) {
  Match& match = record.match;
  match.at = table.at();
  match.unit_at = table.at("unit");
  if (auto unit = table.text("unit", Need::optional, kMaxUnitNameBytes)) {
    if (auto problem = unit_name_problem(*unit)) {
      table.error("unit", problem->first, problem->second);
    } else {
      match.unit = std::move(*unit);
    }
  }
  read_uid(table, match);
  read_executable(table, match);
  const bool has_unit = table.has("unit");
  match.main_process_at = table.at("main_process");
  match.main_process =
      table.flag("main_process").value_or(has_unit && record.binding == Binding::process);
  table.finish();

  if (!has_unit && !table.has("uid")) {
    table.error("", "[match] names neither a unit nor a uid",
                "give `unit`, or `uid`, or both; an executable alone is no identity: any process "
                "can start it");
  }
  if (match.main_process && !has_unit) {
    table.error("main_process", "'main_process' in [match] without a unit",
                "only a unit has a main process: give `unit` or take the line out");
  }
  if (match.main_process && record.binding == Binding::unit) {
    table.warn("main_process", "'main_process = true' with binding = \"unit\"",
               "helpers that the agent starts (badgectl, curl) will be refused");
  }
}

void read_audience(TomlTable& table, Grant& grant) {
  auto audience = table.text("audience", Need::required, kMaxAudienceBytes);
  if (!audience) return;
  if (!is_audience(*audience)) {
    const bool printable = is_printable_word(*audience);
    table.error("audience",
                printable ? "'audience' looks like a token"
                          : "'audience' holds spaces, quotes or other than ASCII: " +
                                quoted_target(*audience),
                "the exact string the resource server expects");
    return;
  }
  grant.audience = std::move(*audience);
}

void read_urls(TomlTable& table, Grant& grant) {
  for (const auto& item : table.texts("urls", kMaxUrlsPerGrant, kMaxUrlBytes)) {
    auto url = grant_url(item.text);
    if (url) {
      grant.urls.push_back(std::move(*url));
    } else {
      table.error("urls", url.error().what, url.error().hint);
    }
  }
  make_set(grant.urls);
  if (table.has("urls") || !grant.audience.starts_with("https://")) return;
  if (auto own = grant_url(grant.audience)) {
    grant.urls.push_back(std::move(*own));
  } else {
    table.error("audience", own.error().what, own.error().hint);
  }
}

std::vector<std::string> words(TomlTable& table, std::string_view key, std::size_t max_count,
                               std::string_view hint) {
  std::vector<std::string> out;
  for (auto& item : table.texts(key, max_count, kMaxScopeBytes)) {
    if (is_printable_word(item.text)) {
      out.push_back(std::move(item.text));
    } else {
      table.error(key, "'" + std::string(key) + "' in [[grant]] cannot hold " + quoted(item.text),
                  std::string(hint));
    }
  }
  make_set(out);
  return out;
}

Grant read_grant(TomlTable& table) {
  Grant grant;
  grant.at = table.at();
  read_audience(table, grant);
  grant.scope = words(table, "scope", kMaxScopesPerGrant,
                      "one scope per element: no spaces, quotes or backslashes (RFC 6749 3.3)");
  grant.max_lifetime_at = table.at("max_lifetime");
  grant.max_lifetime = table.duration("max_lifetime");
  read_urls(table, grant);
  grant.authorization_details_types =
      words(table, "authorization_details_types", kMaxDetailTypes,
            "one type per element: no spaces, quotes or backslashes (RFC 9396 2)");
  grant.bearer_at = table.at("bearer");
  grant.bearer = table.flag("bearer").value_or(false);
  table.finish();
  if (grant.urls.empty() && !grant.bearer) {
    table.warn("audience", "no `urls`: no proof can be made for " + quoted(grant.audience),
               "list the URLs where its tokens are used");
  }
  return grant;
}

void read_grants(TomlTable& doc, Record& record) {
  for (auto& table : doc.tables("grant", kMaxGrants)) {
    Grant grant = read_grant(table);
    const bool twice =
        std::any_of(record.grants.begin(), record.grants.end(), [&](const Grant& other) {
          return !grant.audience.empty() && other.audience == grant.audience;
        });
    if (twice) {
      table.error("audience", "two grants for " + quoted(grant.audience),
                  "put their scopes into one [[grant]]");
    }
    record.grants.push_back(std::move(grant));
  }
  if (!doc.has("grant")) {
    doc.warn("grant", "no [[grant]]: this agent is known but gets no token");
  }
}

void read_vendor(TomlTable& doc, Record& record) {
  auto table = doc.table("vendor", Need::optional);
  if (!table) return;
  Vendor vendor;
  vendor.name = table->text("name", Need::required, kMaxTextBytes).value_or("");
  vendor.contract_ends = table->date("contract_ends");
  vendor.audit_access = table->flag("audit_access");
  constexpr std::int64_t kYearOfHours = 366 * 24;
  if (auto hours = table->number("breach_notice_hours", 1, kYearOfHours)) {
    vendor.breach_notice_hours = static_cast<std::uint32_t>(*hours);
  }
  table->finish();
  record.vendor = std::move(vendor);
}

void read_identity(TomlTable& doc, Record& record) {
  record.at = doc.at();
  if (auto name = doc.text("name", Need::required, 256)) {
    if (!is_agent_name(*name)) {
      doc.error("name", "'name' cannot be " + quoted(*name),
                "1 to 63 of a-z, 0-9 and -: it is the last part of the token's `sub`");
    } else if (*name != stem_of(record.file)) {
      doc.error("name",
                "'name' is " + quoted(*name) + " in a file named " + quoted(stem_of(record.file)),
                "rename the file to " + *name + ".toml, or mend the name");
    }
    record.name = std::move(*name);
  }
  record.owner = doc.text("owner", Need::required, kMaxTextBytes).value_or("");
  record.purpose = doc.text("purpose", Need::required, kMaxTextBytes).value_or("");
}

void read_cell(TomlTable& doc, Record& record) {
  record.autonomy =
      doc.word("autonomy", Need::required, autonomy_from, "low, medium, high, adaptive")
          .value_or(Autonomy::adaptive);
  record.access = doc.word("access", Need::required, access_from,
                           "public-read, internal-read, app-write, admin, infrastructure")
                      .value_or(Access::infrastructure);
  record.data_sensitivity = scale(doc, "data_sensitivity", Sensitivity::restricted,
                                  sensitivity_from, "public, internal, confidential, restricted");
  record.business_impact =
      scale(doc, "business_impact", Impact::critical, impact_from, "low, moderate, high, critical");
  record.exposure = scale(doc, "exposure", Exposure::internet, exposure_from,
                          "isolated, internal, partner, internet");
  for (auto& item : doc.texts("systems", kMaxSystems, kMaxTextBytes)) {
    record.systems.push_back(std::move(item.text));
  }
  record.reassess_by = doc.date("reassess_by");
  const bool adaptive = doc.has("autonomy") && record.autonomy == Autonomy::adaptive;
  if (adaptive && !doc.has("reassess_by")) {
    doc.error("autonomy", "autonomy is adaptive and there is no 'reassess_by'",
              "say by when a person looks at it again: reassess_by = 2027-03-01");
  }
}

// Compared as strings with `iss`: never resolved or fetched.
void read_act_for(TomlTable& doc, Record& record) {
  for (auto& item : doc.texts("act_for", kMaxSubjectIssuers, kMaxIssuerBytes)) {
    if (item.text.starts_with("https://") && is_printable_word(item.text)) {
      record.act_for.push_back(std::move(item.text));
    } else {
      doc.error("act_for", "'act_for' names no issuer: " + quoted(item.text),
                "an https URL as it stands under [[subject_issuer]] of badged.toml, or badged's "
                "own issuer for tokens that agents of this host hand on");
    }
  }
  make_set(record.act_for);
}

void read_document(TomlTable& doc, Record& record) {
  read_identity(doc, record);
  read_cell(doc, record);
  read_vendor(doc, record);
  record.binding_at = doc.at("binding");
  record.binding =
      doc.word("binding", Need::optional, binding_from, "process, unit").value_or(Binding::process);
  if (auto match = doc.table("match", Need::required)) {
    read_match(*match, record);
    if (record.binding == Binding::unit && !match->has("unit")) {
      doc.error("binding", "binding = \"unit\" without a unit in [match]",
                "give `unit` in [match], or use binding = \"process\"");
    }
  }
  read_act_for(doc, record);
  read_grants(doc, record);
  doc.finish();
}

}  // namespace

std::string to_string(const Date& date) {
  auto padded = [](unsigned value, std::size_t width) {
    std::string digits = std::to_string(value);
    return std::string(width - std::min(width, digits.size()), '0') + digits;
  };
  return padded(static_cast<unsigned>(static_cast<int>(date.year())), 4) + "-" +
         padded(static_cast<unsigned>(date.month()), 2) + "-" +
         padded(static_cast<unsigned>(date.day()), 2);
}

bool Match::unit_is_template() const {
  return is_template_unit(unit);
}

ParsedRecord parse_record(std::string_view text, std::string_view file) {
  ParsedRecord parsed;
  Reporter report(file, parsed.problems);
  if (auto table = parse_toml(text, kMaxRecordBytes, report)) {
    Record record;
    record.file = file;
    TomlTable doc(*table, "", report);
    read_document(doc, record);
    if (!report.failed()) parsed.record = std::move(record);
  }
  sort(parsed.problems);
  return parsed;
}

}  // namespace badged::agents
