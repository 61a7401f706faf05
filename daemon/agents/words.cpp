// The closed sets of words: one table each, used both ways.
#include <algorithm>
#include <array>
#include <utility>

#include "daemon/agents/matrix.h"
#include "daemon/agents/record.h"
#include "daemon/agents/tiers.h"

namespace badged::agents {
namespace {

template <class Value, std::size_t N>
using Words = std::array<std::pair<Value, std::string_view>, N>;

template <class Value, std::size_t N>
std::string_view word_of(const Words<Value, N>& words, Value value) {
  auto found = std::find_if(words.begin(), words.end(),
                            [&](const auto& entry) { return entry.first == value; });
  return found == words.end() ? std::string_view("unknown") : found->second;
}

template <class Value, std::size_t N>
std::optional<Value> value_of(const Words<Value, N>& words, std::string_view word) {
  auto found = std::find_if(words.begin(), words.end(),
                            [&](const auto& entry) { return entry.second == word; });
  if (found == words.end()) return std::nullopt;
  return found->first;
}

constexpr Words<Autonomy, 4> kAutonomyWords{{{Autonomy::low, "low"},
                                             {Autonomy::medium, "medium"},
                                             {Autonomy::high, "high"},
                                             {Autonomy::adaptive, "adaptive"}}};
constexpr Words<Access, 5> kAccessWords{{{Access::public_read, "public-read"},
                                         {Access::internal_read, "internal-read"},
                                         {Access::app_write, "app-write"},
                                         {Access::admin, "admin"},
                                         {Access::infrastructure, "infrastructure"}}};
constexpr Words<Tier, 3> kTierWords{{{Tier::baseline, "baseline"},
                                     {Tier::elevated, "elevated"},
                                     {Tier::high_assurance, "high-assurance"}}};
constexpr Words<Binding, 2> kBindingWords{{{Binding::process, "process"}, {Binding::unit, "unit"}}};
constexpr Words<KeyCustody, 2> kCustodyWords{
    {{KeyCustody::locked_memory_or_better, "locked-memory"}, {KeyCustody::tpm, "tpm"}}};
constexpr Words<Sensitivity, 4> kSensitivityWords{{{Sensitivity::public_data, "public"},
                                                   {Sensitivity::internal, "internal"},
                                                   {Sensitivity::confidential, "confidential"},
                                                   {Sensitivity::restricted, "restricted"}}};
constexpr Words<Impact, 4> kImpactWords{{{Impact::low, "low"},
                                         {Impact::moderate, "moderate"},
                                         {Impact::high, "high"},
                                         {Impact::critical, "critical"}}};
constexpr Words<Exposure, 4> kExposureWords{{{Exposure::isolated, "isolated"},
                                             {Exposure::internal, "internal"},
                                             {Exposure::partner, "partner"},
                                             {Exposure::internet, "internet"}}};

}  // namespace

std::string_view to_string(Autonomy value) {
  return word_of(kAutonomyWords, value);
}
std::string_view to_string(Access value) {
  return word_of(kAccessWords, value);
}
std::string_view to_string(Tier value) {
  return word_of(kTierWords, value);
}
std::string_view to_string(Binding value) {
  return word_of(kBindingWords, value);
}
std::string_view to_string(KeyCustody value) {
  return word_of(kCustodyWords, value);
}
std::string_view to_string(Sensitivity value) {
  return word_of(kSensitivityWords, value);
}
std::string_view to_string(Impact value) {
  return word_of(kImpactWords, value);
}
std::string_view to_string(Exposure value) {
  return word_of(kExposureWords, value);
}

std::optional<Autonomy> autonomy_from(std::string_view word) {
  return value_of(kAutonomyWords, word);
}
std::optional<Access> access_from(std::string_view word) {
  return value_of(kAccessWords, word);
}
std::optional<Tier> tier_from(std::string_view word) {
  return value_of(kTierWords, word);
}
std::optional<Binding> binding_from(std::string_view word) {
  return value_of(kBindingWords, word);
}
std::optional<Sensitivity> sensitivity_from(std::string_view word) {
  return value_of(kSensitivityWords, word);
}
std::optional<Impact> impact_from(std::string_view word) {
  return value_of(kImpactWords, word);
}
std::optional<Exposure> exposure_from(std::string_view word) {
  return value_of(kExposureWords, word);
}

}  // namespace badged::agents
