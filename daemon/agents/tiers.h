// What a tier allows, as data with defaults. badged.toml's [limits.TIER] may
// tighten lifetimes, binding and Bearer, never loosen them; rates are operational and move both
// ways within kMaxRate. Pure values, any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/agents/matrix.h"

namespace badged::agents {

enum class Binding { process, unit };  // what a session hangs on; see "Binding" in architecture.md
std::string_view to_string(Binding binding);
std::optional<Binding> binding_from(std::string_view word);

// Where the signing and PoP keys of a tier's sessions must live.
enum class KeyCustody {
  locked_memory_or_better,  // badged's locked memory, vouched for by the store's issuer key
  tpm,                      // both keys in the TPM, certified by its AK; nothing else will do
};
std::string_view to_string(KeyCustody custody);

// A token bucket, one per agent: `per_second` refills, `burst` is what may come at once. Sustained
// rates guard the audit disk and the TPM against an agent gone wild; the burst lets a fleet
// restart.
struct RateLimit {
  std::uint32_t per_second = 1;
  std::uint32_t burst = 1;
  bool operator==(const RateLimit&) const = default;
};
constexpr std::uint32_t kMaxRate = 1'000'000;  // of either member: above it is no limit

struct TierLimits {
  std::chrono::seconds max_lifetime{};      // no token lives longer, whatever its record says
  std::chrono::seconds default_lifetime{};  // where the record's grant says nothing
  bool unit_binding = false;                // process binding is always allowed
  bool bearer = false;  // tokens without proof of possession, if the grant says so
  KeyCustody custody = KeyCustody::tpm;
  RateLimit tokens;  // new tokens; one answered again from the cache does not count
  RateLimit proofs;
  bool operator==(const TierLimits&) const = default;
};

class TierLimitTable {
 public:
  TierLimitTable();  // the defaults, as docs/matrix.md prints them
  const TierLimits& of(Tier tier) const;
  TierLimits& of(Tier tier);
  bool operator==(const TierLimitTable&) const = default;

 private:
  std::array<TierLimits, 3> limits_;
};

// What records are checked against: one value, replaced as a whole at reload.
struct TierRules {
  TierMap map;
  TierLimitTable limits;
};

}  // namespace badged::agents
