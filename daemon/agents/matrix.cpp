#include "daemon/agents/matrix.h"

#include <algorithm>
#include <stdexcept>

namespace badged::agents {
namespace {

std::size_t row_of(Autonomy autonomy) {
  // C2: adaptive is the highest autonomy, in every cell.
  return std::min(static_cast<std::size_t>(autonomy), static_cast<std::size_t>(Autonomy::high));
}

std::size_t column_of(Access access) {
  return static_cast<std::size_t>(access);
}

std::string cell_name(Autonomy autonomy, Access access) {
  return std::string(to_string(autonomy)) + "/" + std::string(to_string(access));
}

}  // namespace

TierMap::TierMap() {
  for (std::size_t row = 0; row < cells_.size(); ++row) {
    for (std::size_t column = 0; column < cells_[row].size(); ++column) {
      const std::size_t rank = row + column;
      cells_[row][column] = rank <= 1   ? Tier::baseline
                            : rank <= 4 ? Tier::elevated
                                        : Tier::high_assurance;
    }
  }
}

Tier TierMap::at(Autonomy autonomy, Access access) const {
  return cells_[row_of(autonomy)][column_of(access)];
}

void TierMap::set(Autonomy autonomy, Access access, Tier tier) {
  if (autonomy == Autonomy::adaptive) throw std::logic_error("set a tier: adaptive has no row");
  cells_[row_of(autonomy)][column_of(access)] = tier;
}

std::optional<std::string> TierMap::first_disorder() const {
  for (std::size_t row = 0; row < cells_.size(); ++row) {
    for (std::size_t column = 0; column < cells_[row].size(); ++column) {
      const auto here = cell_name(kAutonomies[row], kAccesses[column]);
      if (row > 0 && cells_[row][column] < cells_[row - 1][column]) {
        return here + " is held less strictly than " +
               cell_name(kAutonomies[row - 1], kAccesses[column]);
      }
      if (column > 0 && cells_[row][column] < cells_[row][column - 1]) {
        return here + " is held less strictly than " +
               cell_name(kAutonomies[row], kAccesses[column - 1]);
      }
    }
  }
  return std::nullopt;
}

DerivedTier derive_tier(const TierMap& map, Autonomy autonomy, Access access, bool vendor) {
  DerivedTier derived;
  if (autonomy == Autonomy::adaptive) {
    derived.steps.push_back(
        {"adaptive", "an agent that changes itself counts as the highest autonomy", "high"});
  }
  derived.tier = map.at(autonomy, access);
  derived.steps.push_back({"cell",
                           "autonomy " + std::string(to_string(autonomy)) + " with access " +
                               std::string(to_string(access)),
                           std::string(to_string(derived.tier))});
  if (vendor) {
    if (derived.tier != Tier::high_assurance) {
      derived.tier = static_cast<Tier>(static_cast<int>(derived.tier) + 1);
    }
    derived.steps.push_back({"vendor", "a third party's agent is held one tier stricter",
                             std::string(to_string(derived.tier))});
  }
  return derived;
}

std::string to_text(const Derivation& steps) {
  std::string out;
  for (const auto& step : steps) {
    out += step.rule + ": " + step.reason + " -> " + step.result + "\n";
  }
  return out;
}

}  // namespace badged::agents
