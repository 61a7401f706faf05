#include "daemon/tokens/ledger.h"

#include <algorithm>
#include <utility>

#include "daemon/agents/limits.h"

namespace badged::tokens {
namespace {

using limits::kStatusBlock;

// No part can hold a newline: names, ids, URLs, scope tokens and types.
std::string key_of(const Authority& authority) {
  std::string key = authority.agent;
  for (const auto* part :
       {&authority.session, &authority.audience, &authority.scope, &authority.details}) {
    key += '\n';
    key += *part;
  }
  return key;
}

bool has_marks(const StatusBits& bits) {
  return std::any_of(bits.begin(), bits.end(), [](std::uint8_t byte) { return byte != 0; });
}

// When what is left of a token's life is over, and of the leeway, by CLOCK_BOOTTIME.
std::int64_t end_of(std::int64_t expires_at, Instant now) {
  return now.boot + std::max<std::int64_t>(expires_at - now.wall, 0) +
         limits::kRetireLeeway.count();
}

std::int64_t longest_end(Instant now) {
  return end_of(now.wall + agents::kMaxDuration.count(), now);
}

bool bit(const StatusBits& bits, std::uint32_t place) {
  return (bits[place / 8] >> place % 8 & 1) != 0;
}

void set_bit(StatusBits& bits, std::uint32_t place) {
  bits[place / 8] = static_cast<std::uint8_t>(bits[place / 8] | 1U << place % 8);
}

}  // namespace

std::optional<std::uint32_t> Ledger::add(const Jti& jti, std::int64_t expires_at,
                                         const Authority& authority, Instant now) {
  if (!open_ || !fits(blocks_[*open_], 1, expires_at)) {
    if (!spare_ || !fits(blocks_[*spare_], 1, expires_at)) return std::nullopt;
    open_ = std::exchange(spare_, std::nullopt);
  }
  auto& block = blocks_[*open_];
  const auto place = static_cast<std::uint32_t>(block.issued.size());
  block.issued.push_back({jti, static_cast<std::uint32_t>(expires_at), intern(authority)});
  block.last_exp = std::max(block.last_exp, expires_at);
  block.held_until = std::max(block.held_until, end_of(expires_at, now));
  ++size_;
  return *open_ * kStatusBlock + place;
}

bool Ledger::has_room(std::size_t places, std::int64_t expires_at) const {
  return (open_ && fits(blocks_[*open_], places, expires_at)) ||
         (spare_ && fits(blocks_[*spare_], places, expires_at));
}

bool Ledger::fits(const Block& block, std::size_t places, std::int64_t expires_at) const {
  return block.issued.size() + places <= kStatusBlock && expires_at <= block.free_after;
}

Result<StatusBlock> Ledger::choose(std::int64_t free_after) {
  std::uint32_t number = 0;
  while (number < blocks_.size() && blocks_[number].free_after != 0) ++number;
  if (number >= limits::kStatusBlocks)
    return fail(Errc::busy, "reserve status indexes: " + std::to_string(size_) +
                                " tokens that have not expired fill the status list");
  // Later ones end later, so that the last one reserved is known after a restart.
  for (const auto& other : blocks_) free_after = std::max(free_after, other.free_after + 1);
  grown_to(number).free_after = free_after;
  return block(number);
}

void Ledger::dropped(std::uint32_t block) {
  blocks_[block].free_after = 0;
}

void Ledger::restore(const StatusBlock& stored, Instant now) {
  auto& block = grown_to(stored.number);
  block.free_after = stored.free_after;
  block.bits = stored.bits;
  block.marks_until = longest_end(now);
}

void Ledger::restore(std::uint32_t index, const Jti& jti, std::int64_t expires_at,
                     const Authority& authority, Instant now) {
  auto& block = grown_to(index / kStatusBlock);
  const auto place = index % kStatusBlock;
  if (block.issued.size() <= place) block.issued.resize(place + 1);
  auto& slot = block.issued[place];
  if (slot.expires_at != 0) return;
  slot = {jti, static_cast<std::uint32_t>(expires_at), intern(authority)};
  block.last_exp = std::max(block.last_exp, expires_at);
  // Also where the store lost the block: what the audit holds is used.
  block.free_after = std::max(block.free_after, expires_at + limits::kRetireLeeway.count());
  block.held_until = std::max(block.held_until, end_of(expires_at, now));
  block.marks_until = longest_end(now);
  ++size_;
}

void Ledger::reopen() {
  std::uint32_t best = 0;
  for (std::uint32_t number = 0; number < blocks_.size(); ++number)
    if (blocks_[number].free_after > blocks_[best].free_after) best = number;
  if (best >= blocks_.size()) return;
  auto& block = blocks_[best];
  // Without a token, what was used of it is not known: the audit log may be a new one.
  if (block.issued.empty()) return;
  // A token that was revoked on its way to the audit has left its bit alone.
  std::uint32_t used = kStatusBlock;
  while (used > block.issued.size() && !bit(block.bits, used - 1)) --used;
  block.issued.resize(used);
  open_ = best;
}

Ledger::Marked Ledger::revoke(std::int64_t now, const Wanted& wanted) {
  Marked marked;
  for (std::uint32_t number = 0; number < blocks_.size(); ++number) {
    auto& block = blocks_[number];
    for (std::uint32_t place = 0; place < block.issued.size(); ++place) {
      const auto& token = block.issued[place];
      if (token.expires_at == 0) continue;
      if (!wanted(token.jti, authorities_[token.authority].authority)) continue;
      const bool unexpired = token.expires_at > now;
      marked.found += unexpired ? 1 : 0;
      marked.tokens += unexpired && !bit(block.bits, place) ? 1 : 0;
      set_bit(block.bits, place);
      marked.blocks.insert(number);
    }
  }
  return marked;
}

std::size_t Ledger::revoke_block(std::uint32_t number, std::int64_t now) {
  auto& block = blocks_[number];
  block.bits.fill(0xff);
  return static_cast<std::size_t>(
      std::count_if(block.issued.begin(), block.issued.end(),
                    [now](const Issued& token) { return token.expires_at > now; }));
}

Ledger::Marked Ledger::revoke(std::uint32_t index, std::int64_t now) {
  Marked marked;
  const auto number = index / kStatusBlock;
  const auto place = index % kStatusBlock;
  if (number >= blocks_.size() || place >= blocks_[number].issued.size()) return marked;
  auto& block = blocks_[number];
  if (block.issued[place].expires_at > now) {
    marked.found = 1;
    marked.tokens = bit(block.bits, place) ? 0 : 1;
  }
  set_bit(block.bits, place);
  marked.blocks.insert(number);
  return marked;
}

bool Ledger::revoked(std::uint32_t index) const {
  const auto number = index / kStatusBlock;
  return number < blocks_.size() && bit(blocks_[number].bits, index % kStatusBlock);
}

std::optional<Ledger::Token> Ledger::at(std::uint32_t index, const Jti& jti,
                                        std::int64_t now) const {
  const auto number = index / kStatusBlock;
  const auto place = index % kStatusBlock;
  if (number >= blocks_.size() || place >= blocks_[number].issued.size()) return std::nullopt;
  const auto& token = blocks_[number].issued[place];
  if (token.expires_at <= now || token.jti != jti) return std::nullopt;
  return Token{index, token.expires_at, revoked(index), &authorities_[token.authority].authority};
}

void Ledger::each(std::int64_t now, const std::function<void(const Token&)>& visit) const {
  for (std::uint32_t number = 0; number < blocks_.size(); ++number) {
    const auto& block = blocks_[number];
    for (std::uint32_t place = 0; place < block.issued.size(); ++place) {
      const auto& token = block.issued[place];
      if (token.expires_at <= now) continue;
      visit({number * kStatusBlock + place, token.expires_at, bit(block.bits, place),
             &authorities_[token.authority].authority});
    }
  }
}

StatusBlock Ledger::block(std::uint32_t number) const {
  const auto& block = blocks_[number];
  // Only the open block takes more tokens: of the others, the last to expire frees the place.
  const bool is_open = open_ == number || spare_ == number || block.issued.empty();
  const auto leeway = limits::kRetireLeeway.count();
  const auto until =
      is_open ? block.free_after : std::min(block.free_after, block.last_exp + leeway);
  return {number, until, block.bits};
}

std::size_t Ledger::blocks() const {
  auto end = blocks_.size();
  while (end > 0 && blocks_[end - 1].free_after == 0) --end;
  return end;
}

Bytes Ledger::bits() const {
  const auto used = blocks();
  // Zeros ahead, which cost no bytes once compressed: a token of a block that is opened before the
  // next list is signed is within this one. So it is never empty.
  const auto all = std::min<std::size_t>(used + limits::kStatusBlocksAhead, limits::kStatusBlocks);
  Bytes out;
  out.reserve(all * kStatusBlock / 8);
  for (std::size_t number = 0; number < used; ++number)
    out.insert(out.end(), blocks_[number].bits.begin(), blocks_[number].bits.end());
  out.resize(all * kStatusBlock / 8);
  return out;
}

std::set<std::uint32_t> Ledger::expire(Instant now) {
  std::set<std::uint32_t> with_marks;
  for (std::uint32_t number = 0; number < blocks_.size(); ++number) {
    auto& candidate = blocks_[number];
    if (candidate.free_after == 0 || open_ == number || spare_ == number ||
        block(number).free_after > now.wall || candidate.held_until > now.boot)
      continue;
    const bool marked = has_marks(candidate.bits);
    if (marked && candidate.marks_until > now.boot) continue;
    if (marked) with_marks.insert(number);
    release(candidate);
  }
  return with_marks;
}

std::uint32_t Ledger::intern(const Authority& authority) {
  const auto [found, is_new] = authority_ids_.try_emplace(key_of(authority));
  if (is_new) {
    if (free_authorities_.empty()) {
      free_authorities_.push_back(static_cast<std::uint32_t>(authorities_.size()));
      authorities_.emplace_back();
    }
    found->second = free_authorities_.back();
    free_authorities_.pop_back();
    authorities_[found->second] = {authority, 0};
  }
  ++authorities_[found->second].tokens;
  return found->second;
}

void Ledger::release(Block& block) {
  for (const auto& token : block.issued) {
    if (token.expires_at == 0) continue;
    auto& known = authorities_[token.authority];
    --size_;
    if (--known.tokens > 0) continue;
    authority_ids_.erase(key_of(known.authority));
    known.authority = {};
    free_authorities_.push_back(token.authority);
  }
  block = Block{};
}

Ledger::Block& Ledger::grown_to(std::uint32_t number) {
  if (blocks_.size() <= number) blocks_.resize(number + 1);
  return blocks_[number];
}

}  // namespace badged::tokens
