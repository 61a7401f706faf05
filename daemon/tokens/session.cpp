#include "daemon/tokens/session.h"

#include <algorithm>

#include "attest/jose/dpop.h"
#include "attest/jose/jwk.h"
#include "attest/jose/jws.h"
#include "daemon/tokens/limits.h"

namespace badged::tokens {

bool RateBucket::take(const agents::RateLimit& limit, Clock::time_point now) {
  const std::chrono::duration<double> passed = now - at_;
  at_ = now;
  tokens_ = tokens_ < 0
                ? limit.burst
                : std::min<double>(limit.burst, tokens_ + passed.count() * limit.per_second);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

Session::Session(std::string id, agents::RecordPtr record, agents::Binding binding, PopKey key,
                 keystore::Custody custody)
    : id_(std::move(id)),
      record_(std::move(record)),
      binding_(binding),
      custody_(custody),
      key_(std::move(key)) {
  const auto* in_memory = memory_key();
  public_key_ = in_memory != nullptr ? in_memory->public_key() : stored_key()->public_key;
  jkt_ = attest::thumbprint(public_key_);
  encoded_proof_header_ = attest::encoded_header(attest::proof_header(public_key_));
}

const keystore::PublicKey& Session::public_key() const {
  return public_key_;
}

void Session::end() {
  ended_ = true;
  cached_.clear();
  known_.clear();
  if (memory_key() == nullptr) return;
  // Replacing the key destroys it, and its destruction wipes the scalar.
  key_ = keystore::StoredKey{};
}

const keystore::MemoryKey* Session::key_to_sign_with() {
  signed_lately_ = true;
  return memory_key();
}

void Session::rest_if_idle() {
  if (const auto* key = memory_key(); key != nullptr && !signed_lately_) key->rest();
  signed_lately_ = false;
}

const CachedToken* Session::cached(std::string_view key, std::int64_t now) {
  for (auto it = cached_.begin(); it != cached_.end(); ++it) {
    if (it->key != key) continue;
    const bool half_left = (it->expires_at - now) * 2 >= it->expires_at - it->issued_at;
    if (!half_left || now < it->issued_at) return nullptr;
    if (it != cached_.begin()) cached_.splice(cached_.begin(), cached_, it);
    return &cached_.front();
  }
  return nullptr;
}

void Session::cache(CachedToken token) {
  std::erase_if(cached_, [&](const CachedToken& old) { return old.key == token.key; });
  cached_.push_front(std::move(token));
  if (cached_.size() > limits::kCachedTokensPerSession) cached_.pop_back();
}

const KnownToken* Session::known(std::string_view token) {
  // Tokens of one session differ in their signature, at the end.
  const auto same = [token](const KnownToken& known) {
    const std::string_view other = known.token;
    return other.size() == token.size() &&
           other.substr(other.size() / 2) == token.substr(token.size() / 2) && other == token;
  };
  const auto found = std::find_if(known_.begin(), known_.end(), same);
  if (found == known_.end()) return nullptr;
  if (found != known_.begin()) known_.splice(known_.begin(), known_, found);
  return &known_.front();
}

void Session::remember(KnownToken token) {
  known_.push_front(std::move(token));
  if (known_.size() > limits::kKnownTokensPerSession) known_.pop_back();
}

}  // namespace badged::tokens
