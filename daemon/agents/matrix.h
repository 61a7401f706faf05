// The matrix: an agent's autonomy against the access it holds gives its tier (C1, C2, C16).
//
// The map is data with a default; badged.toml's [tiers] changes cells. Pure values, any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace badged::agents {

enum class Autonomy { low, medium, high, adaptive };
enum class Access { public_read, internal_read, app_write, admin, infrastructure };
enum class Tier { baseline, elevated, high_assurance };

inline constexpr std::array kAutonomies{Autonomy::low, Autonomy::medium, Autonomy::high,
                                        Autonomy::adaptive};
inline constexpr std::array kAccesses{Access::public_read, Access::internal_read, Access::app_write,
                                      Access::admin, Access::infrastructure};
inline constexpr std::array kTiers{Tier::baseline, Tier::elevated, Tier::high_assurance};

// As written in records, tokens and documents: "app-write", "high-assurance".
std::string_view to_string(Autonomy autonomy);
std::string_view to_string(Access access);
std::string_view to_string(Tier tier);
std::optional<Autonomy> autonomy_from(std::string_view word);
std::optional<Access> access_from(std::string_view word);
std::optional<Tier> tier_from(std::string_view word);

// One tier per cell. `adaptive` has no row of its own: it is the row of `high`, the highest
// autonomy, in every cell (C2). Invariant, kept by set() callers through first_disorder(): more
// autonomy or more access never lowers the tier.
class TierMap {
 public:
  // The default: rank of autonomy (low 0, medium 1, high 2) plus rank of access (public-read 0 ...
  // infrastructure 4); 0 and 1 are baseline, 5 and 6 high-assurance, the rest elevated. So high or
  // adaptive autonomy with admin or infrastructure is high-assurance, whoever writes without a
  // person in between is never baseline, and unattended work on infrastructure needs the TPM.
  TierMap();

  Tier at(Autonomy autonomy, Access access) const;
  // `autonomy` must not be adaptive.
  void set(Autonomy autonomy, Access access, Tier tier);
  bool operator==(const TierMap&) const = default;

  // A cell whose tier is lower than that of a cell with less autonomy or less access, in words.
  std::optional<std::string> first_disorder() const;

 private:
  std::array<std::array<Tier, 5>, 3> cells_;
};

// One step of how something was decided: shown to admins, and as JSON by `agents show`.
struct DerivationStep {
  std::string rule;    // "cell", "adaptive", "vendor", "lifetime", ...
  std::string reason;  // "autonomy medium with access app-write"
  std::string result;  // "elevated"
};
using Derivation = std::vector<DerivationStep>;

struct DerivedTier {
  Tier tier = Tier::high_assurance;
  Derivation steps;
};

// A vendor's agent is held one tier stricter than its cell (C16).
DerivedTier derive_tier(const TierMap& map, Autonomy autonomy, Access access, bool vendor);

// "rule: reason -> result", one line per step.
std::string to_text(const Derivation& steps);

}  // namespace badged::agents
