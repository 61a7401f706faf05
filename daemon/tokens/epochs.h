// Each agent's epoch, read from the state database once: a token carries it, and one with a lower
// epoch than the agent's is dead. Belongs to the I/O thread.
#pragma once

#include <string>
#include <unordered_map>

#include "daemon/audit/state_db.h"

namespace badged::tokens {

class Epochs {
 public:
  explicit Epochs(const audit::StateDb& state) : state_(state) {}
  Result<std::int64_t> of(const std::string& agent);
  // The next one, in force from now on. To be stored by the caller (status_store.h).
  Result<std::int64_t> raise(const std::string& agent);

 private:
  const audit::StateDb& state_;
  std::unordered_map<std::string, std::int64_t>
      known_;  // at most one per agent that was asked about
};

}  // namespace badged::tokens
