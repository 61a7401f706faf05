#include "daemon/tokens/epochs.h"

namespace badged::tokens {

Result<std::int64_t> Epochs::of(const std::string& agent) {
  const auto found = known_.find(agent);
  if (found != known_.end()) return found->second;
  const auto epoch = state_.agent_epoch(agent);
  if (epoch) known_.emplace(agent, *epoch);
  return epoch;
}

Result<std::int64_t> Epochs::raise(const std::string& agent) {
  const auto epoch = of(agent);
  if (epoch) ++known_[agent];
  return epoch ? Result<std::int64_t>(*epoch + 1) : epoch;
}

}  // namespace badged::tokens
