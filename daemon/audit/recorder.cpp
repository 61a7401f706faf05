#include "daemon/audit/recorder.h"

#include "daemon/audit/limits.h"

namespace badged::audit {

bool Recorder::counts_as_repeat(std::uint32_t uid, const std::string& reason,
                                Clock::time_point now) {
  const auto found = repeated_.find({uid, reason});
  if (found != repeated_.end()) {
    ++found->second.count;
    return true;
  }
  if (repeated_.size() >= limits::kMaxDenialKinds) {
    ++overflow_;
    return true;
  }
  repeated_.emplace(Key{uid, reason}, Repeated{now, 0});
  return false;
}

Recorder::Use& Recorder::use(const std::string& session, const std::string& agent) {
  auto& use = uses_[session];
  if (use.agent.empty()) use.agent = agent;
  return use;
}

void Recorder::write_repeated(const Key& key, const Repeated& repeated) {
  if (repeated.count == 0) return;
  log_.append(Entry("repeated")
                  .number("uid", key.first)
                  .text("reason", key.second)
                  .number("count", repeated.count),
              {});
}

void Recorder::flush(Clock::time_point now, bool all) {
  for (auto it = repeated_.begin(); it != repeated_.end();) {
    const bool over = all || now - it->second.since >= limits::kDenialWindow;
    if (over) write_repeated(it->first, it->second);
    it = over ? repeated_.erase(it) : std::next(it);
  }
  if (overflow_ > 0 && repeated_.size() < limits::kMaxDenialKinds) {
    log_.append(Entry("repeated").text("reason", "other").number("count", overflow_), {});
    overflow_ = 0;
  }
  if (!all && now - uses_since_ < limits::kDenialWindow) return;
  uses_since_ = now;
  for (const auto& [session, use] : uses_) {
    if (use.cached_tokens == 0 && use.proofs == 0) continue;
    log_.append(Entry("use")
                    .text("agent", use.agent)
                    .text("session", session)
                    .number("cached_tokens", use.cached_tokens)
                    .number("proofs", use.proofs),
                {});
  }
  uses_.clear();
}

}  // namespace badged::audit
