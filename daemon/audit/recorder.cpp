#include "daemon/audit/recorder.h"

#include <utility>

#include "daemon/audit/limits.h"

namespace badged::audit {

// Null when all places of its kind are taken.
Recorder::Repeated* Recorder::place_of(const Key& key, Clock::time_point now, Who who) {
  const bool listed = who == Who::listed;
  const auto taken = listed ? listed_ : repeated_.size() - listed_;
  if (taken >= (listed ? limits::kMaxListedDenialKinds : limits::kMaxDenialKinds)) return nullptr;
  if (listed) ++listed_;
  return &repeated_.emplace(key, Repeated{now, 0, who}).first->second;
}

bool Recorder::counts_as_repeat(std::uint32_t uid, const std::string& reason, Clock::time_point now,
                                Who who) {
  const Key key{uid, reason};
  const auto found = repeated_.find(key);
  if (found != repeated_.end()) {
    ++found->second.count;
    return true;
  }
  if (place_of(key, now, who) != nullptr) return false;
  ++overflow_;
  return true;
}

void Recorder::not_written(std::uint32_t uid, const std::string& reason, Clock::time_point now,
                           std::int64_t count, Who who) {
  const Key key{uid, reason};
  const auto found = repeated_.find(key);
  auto* place = found != repeated_.end() ? &found->second : place_of(key, now, who);
  (place != nullptr ? place->count : overflow_) += count;
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
              [this, key, repeated](const Result<void>& written) {
                if (!written)
                  not_written(key.first, key.second, Clock::now(), repeated.count, repeated.who);
              });
}

void Recorder::write_overflow() {
  log_.append(Entry("repeated").text("reason", "other").number("count", overflow_),
              [this, count = overflow_](const Result<void>& written) {
                if (!written) overflow_ += count;
              });
  overflow_ = 0;
}

void Recorder::write_uses() {
  const auto uses = std::exchange(uses_, {});
  for (const auto& [session, use] : uses) {
    if (use.cached_tokens == 0 && use.proofs == 0) continue;
    log_.append(Entry("use")
                    .text("agent", use.agent)
                    .text("session", session)
                    .number("cached_tokens", use.cached_tokens)
                    .number("proofs", use.proofs),
                [this, session = session, use = use](const Result<void>& written) {
                  if (written) return;
                  auto& again = this->use(session, use.agent);
                  again.cached_tokens += use.cached_tokens;
                  again.proofs += use.proofs;
                });
  }
}

bool Recorder::owe(const Entry& entry) {
  if (owed_.size() >= limits::kMaxOwed) return false;
  owed_.push_back(entry);
  return true;
}

// Answers come in the order of append(), so what is owed again keeps its order. One whose place
// was taken meanwhile is counted.
void Recorder::write_owed() {
  const auto owed = std::exchange(owed_, {});
  for (const auto& entry : owed)
    log_.append(entry, [this, entry](const Result<void>& written) {
      if (!written && !owe(entry)) ++overflow_;
    });
}

void Recorder::flush(Clock::time_point now, bool all) {
  write_owed();
  for (auto it = repeated_.begin(); it != repeated_.end();) {
    const bool over = all || now - it->second.since >= limits::kDenialWindow;
    if (over) write_repeated(it->first, it->second);
    if (over && it->second.who == Who::listed) --listed_;
    it = over ? repeated_.erase(it) : std::next(it);
  }
  const auto strangers = repeated_.size() - listed_;
  if (overflow_ > 0 && (all || strangers < limits::kMaxDenialKinds)) write_overflow();
  if (!all && now - uses_since_ < limits::kDenialWindow) return;
  uses_since_ = now;
  write_uses();
}

}  // namespace badged::audit
