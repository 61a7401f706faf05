#include "daemon/agents/tiers.h"

namespace badged::agents {

// The reasons are in docs/matrix.md, which a test compares with these numbers.
TierLimitTable::TierLimitTable() {
  using namespace std::chrono_literals;
  of(Tier::baseline) = {.max_lifetime = 1h,
                        .default_lifetime = 15min,
                        .unit_binding = true,
                        .bearer = true,
                        .custody = KeyCustody::locked_memory_or_better,
                        .tokens = {.per_second = 500, .burst = 100'000},
                        .proofs = {.per_second = 5'000, .burst = 200'000}};
  of(Tier::elevated) = {.max_lifetime = 15min,
                        .default_lifetime = 5min,
                        .unit_binding = true,
                        .bearer = false,
                        .custody = KeyCustody::locked_memory_or_better,
                        .tokens = {.per_second = 500, .burst = 100'000},
                        .proofs = {.per_second = 5'000, .burst = 200'000}};
  of(Tier::high_assurance) = {.max_lifetime = 5min,
                              .default_lifetime = 2min,
                              .unit_binding = false,
                              .bearer = false,
                              .custody = KeyCustody::tpm,
                              .tokens = {.per_second = 20, .burst = 10'000},
                              .proofs = {.per_second = 20, .burst = 10'000}};
}

const TierLimits& TierLimitTable::of(Tier tier) const {
  return limits_.at(static_cast<std::size_t>(tier));
}

TierLimits& TierLimitTable::of(Tier tier) {
  return limits_.at(static_cast<std::size_t>(tier));
}

}  // namespace badged::agents
