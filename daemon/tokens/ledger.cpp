#include "daemon/tokens/ledger.h"

#include <algorithm>
#include <utility>

namespace badged::tokens {
namespace {

using limits::kStatusBlock;

// No part can hold a newline: names, ids, URLs and scope tokens.
std::string key_of(const Authority& authority) {
  std::string key = authority.agent;
  for (const auto* part : {&authority.session, &authority.audience, &authority.scope}) {
    key += '\n';
    key += *part;
  }
  return key;
}

bool bit(const StatusBits& bits, std::uint32_t place) {
  return (bits[place / 8] >> place % 8 & 1) != 0;
}

void set_bit(StatusBits& bits, std::uint32_t place) {
  bits[place / 8] = static_cast<std::uint8_t>(bits[place / 8] | 1U << place % 8);
}

}  // namespace

std::optional<std::uint32_t> Ledger::add(const Jti& jti, std::int64_t expires_at,
                                         const Authority& authority) {
  if (!open_ || !fits(blocks_[*open_], 1, expires_at)) {
    if (!spare_ || !fits(blocks_[*spare_], 1, expires_at)) return std::nullopt;
    open_ = std::exchange(spare_, std::nullopt);
  }
  auto& block = blocks_[*open_];
  const auto place = static_cast<std::uint32_t>(block.issued.size());
  block.issued.push_back({jti, static_cast<std::uint32_t>(expires_at), intern(authority)});
  block.last_exp = std::max(block.last_exp, expires_at);
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

Result<StatusBlock> Ledger::choose(std::int64_t now, std::int64_t free_after) {
  expire(now);
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

void Ledger::restore(const StatusBlock& stored) {
  auto& block = grown_to(stored.number);
  block.free_after = stored.free_after;
  block.bits = stored.bits;
}

void Ledger::restore(std::uint32_t index, const Jti& jti, std::int64_t expires_at,
                     const Authority& authority) {
  auto& block = grown_to(index / kStatusBlock);
  const auto place = index % kStatusBlock;
  if (block.issued.size() <= place) block.issued.resize(place + 1);
  auto& slot = block.issued[place];
  if (slot.expires_at != 0) return;
  slot = {jti, static_cast<std::uint32_t>(expires_at), intern(authority)};
  block.last_exp = std::max(block.last_exp, expires_at);
  // Also where the store lost the block: what the audit holds is used.
  block.free_after = std::max(block.free_after, expires_at + limits::kRetireLeeway.count());
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
      if (token.expires_at <= now) continue;
      if (!wanted(token.jti, authorities_[token.authority].authority)) continue;
      ++marked.found;
      marked.tokens += bit(block.bits, place) ? 0 : 1;
      set_bit(block.bits, place);
      marked.blocks.insert(number);
    }
  }
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

Bytes Ledger::bits() const {
  auto end = blocks_.size();
  while (end > 1 && blocks_[end - 1].free_after == 0) --end;
  Bytes out;
  out.reserve(std::max<std::size_t>(end, 1) * kStatusBlock / 8);
  for (std::size_t number = 0; number < end; ++number)
    out.insert(out.end(), blocks_[number].bits.begin(), blocks_[number].bits.end());
  // Never empty: a list of one block from the first token on.
  if (out.empty()) out.resize(kStatusBlock / 8);
  return out;
}

void Ledger::expire(std::int64_t now) {
  for (std::uint32_t number = 0; number < blocks_.size(); ++number)
    if (blocks_[number].free_after != 0 && open_ != number && spare_ != number &&
        block(number).free_after <= now)
      release(blocks_[number]);
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
