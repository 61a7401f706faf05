// A session: one agent's process (or unit invocation) and the PoP key that its tokens are bound to.
//
// Opened by the first accepted request, ended by the process, its exec, or the unit's invocation;
// nothing of it survives a restart. The key never leaves: the session signs proofs with it. Belongs
// to the I/O thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/agents/record.h"
#include "daemon/peers/process.h"
#include "keystore/memory_key.h"
#include "keystore/store.h"

namespace badged::tokens {

// A token bucket. Spans come from the steady clock.
class RateBucket {
 public:
  using Clock = std::chrono::steady_clock;
  bool take(const agents::RateLimit& limit, Clock::time_point now);

 private:
  double tokens_ = -1;  // -1: never used, so full
  Clock::time_point at_{};
};

// A token that is answered again while at least half of its life remains.
struct CachedToken {
  std::string key;        // audience, scope, details, lifetime and type
  std::string body_head;  // the JSON answer up to `"expires_in":`
  std::int64_t issued_at = 0;
  std::int64_t expires_at = 0;
  std::uint32_t status_index = 0;  // ask Revocations before it is answered again
};

// A token of this session that was issued or verified before: what a proof for it may say.
struct KnownToken {
  std::string token;
  std::vector<std::string> urls;  // normalised
  std::int64_t expires_at = 0;
  std::uint32_t status_index = 0;  // ask Revocations before a proof is made
};

class Session {
 public:
  using PopKey = std::variant<keystore::MemoryKey, keystore::StoredKey>;

  Session(std::string id, agents::RecordPtr record, agents::Binding binding, PopKey key,
          keystore::Custody custody);

  const std::string& id() const { return id_; }
  const std::string& agent() const { return record_->name; }
  const agents::Record& record() const { return *record_; }  // as it was when the session opened
  agents::Binding binding() const { return binding_; }
  keystore::Custody custody() const { return custody_; }
  const std::string& jkt() const { return jkt_; }
  const keystore::PublicKey& public_key() const;
  const std::string& encoded_proof_header() const { return encoded_proof_header_; }

  // Null unless the key is of that kind.
  const keystore::MemoryKey* memory_key() const { return std::get_if<keystore::MemoryKey>(&key_); }
  const keystore::StoredKey* stored_key() const { return std::get_if<keystore::StoredKey>(&key_); }

  // The memory key, kept ready for the signature that follows; null where the key is the store's or
  // the session has ended.
  const keystore::MemoryKey* key_to_sign_with();
  // Gives back what a key needs to sign quickly (2.7 kB) unless it signed since the last call.
  void rest_if_idle();

  bool ended() const { return ended_; }
  // Wipes a memory key at once, or when the signature under way is made. A stored key is destroyed
  // by who owns the store.
  void end();

  const CachedToken* cached(std::string_view key, std::int64_t now);
  void cache(CachedToken token);
  const KnownToken* known(std::string_view token);
  void remember(KnownToken token);

  RateBucket proofs;
  RateBucket evidence;

 private:
  const std::string id_;
  const agents::RecordPtr record_;
  const agents::Binding binding_;
  const keystore::Custody custody_;
  PopKey key_;
  keystore::PublicKey public_key_;
  std::string jkt_;
  std::string encoded_proof_header_;
  bool ended_ = false;
  bool signed_lately_ = false;
  std::list<CachedToken> cached_;  // most recent first
  std::list<KnownToken> known_;
};

using SessionPtr = std::shared_ptr<Session>;

}  // namespace badged::tokens
