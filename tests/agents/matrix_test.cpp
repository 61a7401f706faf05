// The matrix, the tiers, and the document that shows them.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "daemon/agents/matrix.h"
#include "daemon/agents/tiers.h"

using namespace badged::agents;
using Catch::Contains;

namespace {

std::string pad(std::string_view text, std::size_t width) {
  std::string out(text);
  if (out.size() < width) out.resize(width, ' ');
  return out;
}

std::string row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const auto& cell : cells) out += " " + pad(cell, 14) + " |";
  return out + "\n";
}

std::string span(std::chrono::seconds time) {
  const auto count = time.count();
  if (count % 3600 == 0) return std::to_string(count / 3600) + "h";
  return count % 60 == 0 ? std::to_string(count / 60) + "m" : std::to_string(count) + "s";
}

std::string rate(const RateLimit& limit) {
  return std::to_string(limit.per_second) + "/s, " + std::to_string(limit.burst);
}

std::string map_table() {
  std::vector<std::string> head{"autonomy"};
  for (Access access : kAccesses) head.emplace_back(to_string(access));
  std::string out = row(head) + row(std::vector<std::string>(6, "---"));
  for (Autonomy autonomy : kAutonomies) {
    std::vector<std::string> cells{std::string(to_string(autonomy))};
    for (Access access : kAccesses) cells.emplace_back(to_string(TierMap().at(autonomy, access)));
    out += row(cells);
  }
  return out;
}

std::string limits_table() {
  const TierLimitTable table;
  auto line = [&](const char* title, auto show) {
    std::vector<std::string> cells{title};
    for (Tier tier : kTiers) cells.push_back(show(table.of(tier)));
    return row(cells);
  };
  auto yes = [](bool value) { return std::string(value ? "yes" : "no"); };
  std::string out = row({"limit", "baseline", "elevated", "high-assurance"}) +
                    row(std::vector<std::string>(4, "---"));
  out += line("longest life", [](const TierLimits& l) { return span(l.max_lifetime); });
  out += line("usual life", [](const TierLimits& l) { return span(l.default_lifetime); });
  out += line("unit binding", [&](const TierLimits& l) { return yes(l.unit_binding); });
  out += line("Bearer", [&](const TierLimits& l) { return yes(l.bearer); });
  out += line("keys in", [](const TierLimits& l) { return std::string(to_string(l.custody)); });
  out += line("new tokens", [](const TierLimits& l) { return rate(l.tokens); });
  out += line("proofs", [](const TierLimits& l) { return rate(l.proofs); });
  return out;
}

}  // namespace

TEST_CASE("high or adaptive autonomy with admin or infrastructure is high-assurance") {
  const TierMap map;
  for (Autonomy autonomy : {Autonomy::high, Autonomy::adaptive}) {
    for (Access access : {Access::admin, Access::infrastructure}) {
      CHECK(map.at(autonomy, access) == Tier::high_assurance);
    }
  }
  CHECK(map.at(Autonomy::low, Access::public_read) == Tier::baseline);
  CHECK_FALSE(map.first_disorder());
}

TEST_CASE("adaptive is treated as the highest autonomy in every cell, of any map") {
  TierMap map;
  map.set(Autonomy::high, Access::public_read, Tier::high_assurance);
  for (Access access : kAccesses) {
    CHECK(map.at(Autonomy::adaptive, access) == map.at(Autonomy::high, access));
  }
  CHECK_THROWS_AS(map.set(Autonomy::adaptive, Access::admin, Tier::baseline), std::logic_error);
}

TEST_CASE("a map in which more autonomy or access lowers the tier is found out") {
  TierMap map;
  map.set(Autonomy::high, Access::admin, Tier::baseline);
  CHECK(map.first_disorder() == "high/admin is held less strictly than medium/admin");
  TierMap columns;
  columns.set(Autonomy::low, Access::public_read, Tier::elevated);
  CHECK(columns.first_disorder() == "low/internal-read is held less strictly than low/public-read");
}

TEST_CASE("a vendor's agent is one tier stricter, and the derivation says so") {
  const TierMap map;
  const auto own = derive_tier(map, Autonomy::low, Access::public_read, false);
  CHECK(own.tier == Tier::baseline);
  const auto vendor = derive_tier(map, Autonomy::low, Access::public_read, true);
  CHECK(vendor.tier == Tier::elevated);
  CHECK(to_text(vendor.steps) ==
        "cell: autonomy low with access public-read -> baseline\n"
        "vendor: a third party's agent is held one tier stricter -> elevated\n");
  CHECK(derive_tier(map, Autonomy::medium, Access::app_write, true).tier == Tier::high_assurance);
  CHECK(derive_tier(map, Autonomy::adaptive, Access::admin, true).tier == Tier::high_assurance);
  CHECK_THAT(to_text(derive_tier(map, Autonomy::adaptive, Access::admin, false).steps),
             Contains("adaptive: an agent that changes itself"));
}

TEST_CASE("a stricter tier never allows what a looser one forbids") {
  const TierLimitTable table;
  for (auto [loose, strict] : {std::pair{Tier::baseline, Tier::elevated},
                               std::pair{Tier::elevated, Tier::high_assurance}}) {
    const auto& a = table.of(loose);
    const auto& b = table.of(strict);
    CHECK(a.max_lifetime >= b.max_lifetime);
    CHECK(a.default_lifetime >= b.default_lifetime);
    CHECK(a.unit_binding >= b.unit_binding);
    CHECK(a.bearer >= b.bearer);
    CHECK(a.custody <= b.custody);
    CHECK(b.default_lifetime <= b.max_lifetime);
  }
}

TEST_CASE("docs/matrix.md shows the map and the limits that the code has") {
  std::ifstream file(std::string(BADGED_DOCS) + "/matrix.md");
  std::stringstream text;
  text << file.rdbuf();
  CHECK_THAT(text.str(), Contains(map_table()));
  CHECK_THAT(text.str(), Contains(limits_table()));
}
