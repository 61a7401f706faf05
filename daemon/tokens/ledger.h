// The unexpired tokens of this host, by their place in the status list: 24 bytes each, no more than
// what revoking and showing them needs.
//
// Places are given out in blocks of kBlock. A block must be reserved (and the reservation be on
// disk, status_store.h) before a place in it is used, and no token in it may outlive `free_after`:
// until then the block is given to nobody else. Nor before its tokens have outlived their lifetime
// by CLOCK_BOOTTIME: a wall clock that steps forward, and perhaps back again, must not make a
// revocation forgotten. Belongs to the I/O thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/tokens/limits.h"
#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::tokens {

using Jti = std::array<std::uint8_t, 16>;
using StatusBits = std::array<std::uint8_t, limits::kStatusBlock / 8>;

// One moment by both clocks, in seconds. Unix time may step; CLOCK_BOOTTIME does not.
struct Instant {
  std::int64_t wall = 0;
  std::int64_t boot = 0;
};

// What a token lets its holder do, and whose it is. Shared by all tokens of that kind.
struct Authority {
  std::string agent;
  std::string session;
  std::string audience;
  std::string scope;
  std::string details{};  // types of its authorization_details, each once, a space between
};

// A block as the store keeps it.
struct StatusBlock {
  std::uint32_t number = 0;
  std::int64_t free_after = 0;  // Unix time
  StatusBits bits{};            // set: revoked
};

class Ledger {
 public:
  struct Token {
    std::uint32_t index = 0;
    std::int64_t expires_at = 0;
    bool revoked = false;
    const Authority* authority = nullptr;
  };
  struct Marked {
    std::size_t tokens = 0;          // that were not revoked before
    std::size_t found = 0;           // with those that were
    std::set<std::uint32_t> blocks;  // whose bits must be stored
  };
  using Wanted = std::function<bool(const Jti&, const Authority&)>;

  // The place of a new token. Nullopt: no reserved place can hold a token that lives so long.
  std::optional<std::uint32_t> add(const Jti& jti, std::int64_t expires_at,
                                   const Authority& authority, Instant now);
  // True while at least `places` are left for tokens that expire at `expires_at`, in the open block
  // or in one that waits behind it.
  bool has_room(std::size_t places, std::int64_t expires_at) const;

  // The block to reserve next, its bits clear: the lowest that is free. Until opened() it counts as
  // taken. Errc::busy when all kStatusBlocks hold tokens that live.
  Result<StatusBlock> choose(std::int64_t free_after);
  // Its reservation is on disk: places come from it once the open one has none.
  void opened(std::uint32_t block) { spare_ = block; }
  // It could not be stored.
  void dropped(std::uint32_t block);

  // From the last run, before anything else: the stored blocks, then the tokens that the audit has.
  // How long they live in truth is not known: the clock may be wrong by now. Their marks stay for
  // as long as any token may live, by CLOCK_BOOTTIME, and a token for as long as it had left at
  // `now.wall`, which may be earlier than the clock says.
  void restore(const StatusBlock& block, Instant now);
  void restore(std::uint32_t index, const Jti& jti, std::int64_t expires_at,
               const Authority& authority, Instant now);
  // Goes on in the block that was reserved last, after its last place that was used.
  void reopen();

  // Sets the bits of the tokens that are wanted, and counts those that have not expired. The others
  // are marked too while they are known: by a clock that went ahead, they only seem to have
  // expired. Looks at all of them: a million in some milliseconds.
  Marked revoke(std::int64_t now, const Wanted& wanted);
  // The same of the one in this place, without a look at the others.
  Marked revoke(std::uint32_t index, std::int64_t now);
  // Sets all bits of a block, used or not. How many of its tokens have not expired.
  std::size_t revoke_block(std::uint32_t number, std::int64_t now);
  bool revoked(std::uint32_t index) const;
  std::optional<Token> at(std::uint32_t index, const Jti& jti, std::int64_t now) const;
  void each(std::int64_t now, const std::function<void(const Token&)>& visit) const;

  StatusBlock block(std::uint32_t number) const;
  // All bits, up to the last block in use: what the status list publishes.
  Bytes bits() const;
  // Up to the last one in use.
  std::size_t blocks() const;
  // Forgets what has expired. Call each minute, and before choose(). The blocks that had marks: to
  // be stored, or a restart would find the marks again.
  std::set<std::uint32_t> expire(Instant now);
  std::size_t size() const { return size_; }  // expired ones may be among them

 private:
  struct Issued {
    Jti jti{};
    std::uint32_t expires_at = 0;  // Unix time until 2106; 0: a place that is not used
    std::uint32_t authority = 0;
  };
  struct Block {
    std::int64_t free_after = 0;   // 0: nobody's
    std::int64_t last_exp = 0;     // of its tokens
    std::int64_t held_until = 0;   // boot time; its tokens have outlived their lifetime by then
    std::int64_t marks_until = 0;  // boot time; of a block from the last run, while it has marks
    StatusBits bits{};
    std::vector<Issued> issued;
  };
  struct Known {
    Authority authority;
    std::size_t tokens = 0;
  };
  bool fits(const Block& block, std::size_t places, std::int64_t expires_at) const;
  std::uint32_t intern(const Authority& authority);
  void release(Block& block);
  Block& grown_to(std::uint32_t number);

  std::vector<Block> blocks_;
  std::optional<std::uint32_t> open_;
  std::optional<std::uint32_t> spare_;  // reserved, and not used yet
  std::vector<Known> authorities_;
  std::vector<std::uint32_t> free_authorities_;
  std::unordered_map<std::string, std::uint32_t> authority_ids_;
  std::size_t size_ = 0;
};

}  // namespace badged::tokens
