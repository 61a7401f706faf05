// Records as programs read them.
#include <boost/json.hpp>

#include "daemon/agents/report.h"

namespace badged::agents {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::string;

string word(std::string_view text) {
  return string(text.data(), text.size());
}

array words(const std::vector<std::string>& from) {
  array out;
  for (const auto& text : from) out.push_back(word(text));
  return out;
}

std::string hex(const Digest& digest) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned byte : digest) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

array steps_of(const Derivation& steps) {
  array out;
  for (const auto& step : steps) {
    out.push_back(object{
        {"rule", word(step.rule)}, {"reason", word(step.reason)}, {"result", word(step.result)}});
  }
  return out;
}

object match_of(const Match& match) {
  object out;
  if (!match.unit.empty()) out["unit"] = word(match.unit);
  out["main_process"] = match.main_process;
  if (match.uid) {
    out["uid"] = *match.uid;
    if (match.uid_text != std::to_string(*match.uid)) out["user"] = word(match.uid_text);
  }
  if (!match.executable.empty()) out["executable"] = word(match.executable);
  if (!match.executable_sha256.empty()) {
    array digests;
    for (const auto& digest : match.executable_sha256) digests.push_back(word(hex(digest)));
    out["executable_sha256"] = std::move(digests);
  }
  return out;
}

object summary_of(const Record& record) {
  return {{"name", word(record.name)},
          {"owner", word(record.owner)},
          {"tier", word(to_string(record.tier()))},
          {"autonomy", word(to_string(record.autonomy))},
          {"access", word(to_string(record.access))},
          {"binding", word(to_string(record.binding))},
          {"match", match_of(record.match)}};
}

object vendor_of(const Vendor& vendor) {
  object out{{"name", word(vendor.name)}};
  if (vendor.contract_ends) out["contract_ends"] = word(to_string(*vendor.contract_ends));
  if (vendor.audit_access) out["audit_access"] = *vendor.audit_access;
  if (vendor.breach_notice_hours) out["breach_notice_hours"] = *vendor.breach_notice_hours;
  return out;
}

object grant_of(const Grant& grant, Tier tier, const TierLimits& limits) {
  Derivation steps;
  const auto lifetime = token_lifetime(grant, tier, limits, steps);
  return {{"audience", word(grant.audience)},
          {"scope", words(grant.scope)},
          {"authorization_details_types", words(grant.authorization_details_types)},
          {"urls", words(grant.urls)},
          {"token_type", grant.bearer && limits.bearer ? "Bearer" : "DPoP"},
          {"lifetime_seconds", lifetime.count()},
          {"derivation", steps_of(steps)}};
}

}  // namespace

std::string validation_json(const LoadReport& report, std::string_view directory) {
  array problems;
  for (const auto& problem : report.problems) {
    problems.push_back(
        object{{"severity", problem.severity == Severity::error ? "error" : "warning"},
               {"file", word(problem.file)},
               {"line", problem.at.line},
               {"column", problem.at.column},
               {"message", word(problem.message)},
               {"hint", word(problem.hint)}});
  }
  array good;
  for (const auto& record : report.good->records()) good.push_back(word(record->name));
  return boost::json::serialize(object{{"directory", word(directory)},
                                       {"ok", report.clean()},
                                       {"files", report.files},
                                       {"good", std::move(good)},
                                       {"problems", std::move(problems)}});
}

std::string matrix_json(const RecordSet& records, const TierMap& map) {
  array cells;
  for (Autonomy autonomy : kAutonomies) {
    for (Access access : kAccesses) {
      array agents;
      for (const auto& record : records.records()) {
        if (record->autonomy != autonomy || record->access != access) continue;
        agents.push_back(
            object{{"name", word(record->name)}, {"tier", word(to_string(record->tier()))}});
      }
      cells.push_back(object{{"autonomy", word(to_string(autonomy))},
                             {"access", word(to_string(access))},
                             {"tier", word(to_string(map.at(autonomy, access)))},
                             {"agents", std::move(agents)}});
    }
  }
  return boost::json::serialize(object{{"cells", std::move(cells)}});
}

std::string list_json(const RecordSet& records) {
  array agents;
  for (const auto& record : records.records()) agents.push_back(summary_of(*record));
  return boost::json::serialize(object{{"agents", std::move(agents)}});
}

std::string record_json(const Record& record, const TierLimitTable& limits) {
  object out = summary_of(record);
  out["purpose"] = word(record.purpose);
  out["data_sensitivity"] = word(to_string(record.data_sensitivity));
  out["business_impact"] = word(to_string(record.business_impact));
  out["exposure"] = word(to_string(record.exposure));
  out["systems"] = words(record.systems);
  out["act_for"] = words(record.act_for);
  if (record.vendor) out["vendor"] = vendor_of(*record.vendor);
  if (record.reassess_by) out["reassess_by"] = word(to_string(*record.reassess_by));
  out["file"] = word(record.file);
  out["derivation"] = steps_of(record.derived.steps);
  array grants;
  for (const auto& grant : record.grants) {
    grants.push_back(grant_of(grant, record.tier(), limits.of(record.tier())));
  }
  out["grants"] = std::move(grants);
  return boost::json::serialize(out);
}

}  // namespace badged::agents
