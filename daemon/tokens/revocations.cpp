#include "daemon/tokens/revocations.h"

#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <ctime>
#include <functional>

#include "attest/jose/jws.h"
#include "attest/jose/status_list.h"
#include "daemon/agents/limits.h"
#include "daemon/await.h"
#include "daemon/tokens/issued_lines.h"
#include "daemon/tokens/limits.h"
#include "daemon/tokens/publish.h"
#include "keystore/sha256.h"

namespace badged::tokens {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

Instant instant_at(std::int64_t wall) {
  timespec boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  return {wall, boot.tv_sec};
}

// Runs `work` on the writer's thread. Give it a name in the caller: GCC 12 destroys a temporary
// lambda in a co_await expression twice.
template <class T>
awaitable<T> on_writer(asio::io_context& io, asio::thread_pool& writer, std::function<T()> work) {
  co_return co_await await_answer<T>(io, [&](Answer<T> done) {
    asio::post(writer, [work = std::move(work), done = std::move(done)] { done(work()); });
  });
}

}  // namespace

Revocations::Revocations(asio::io_context& io, std::unique_ptr<StatusStore> store, Epochs& epochs,
                         const IssuingKeys& keys, std::string issuer, Files files, std::int64_t now)
    : io_(io),
      store_(std::move(store)),
      epochs_(epochs),
      keys_(keys),
      issuer_(std::move(issuer)),
      uri_(issuer_ + "/status.jwt"),
      file_(std::move(files.published)),
      turn_(io, asio::steady_timer::time_point::max()) {
  restore(files.audit_log, now);
}

Revocations::~Revocations() {
  writer_.join();
}

void Revocations::restore(const std::string& audit_log, std::int64_t now) {
  std::set<std::uint32_t> stored;
  const auto at = instant_at(now);
  // Also those that are free by the wall clock: it may be ahead, and they have marks.
  for (const auto& block : store_->blocks(0).value()) {
    ledger_.restore(block, at);
    stored.insert(block.number);
  }
  std::set<std::uint32_t> lost;
  read_issued(audit_log, now, [&](const IssuedLine& line) {
    ledger_.restore(line.status_index, line.jti, line.expires_at, line.authority,
                    {line.as_of, at.boot});
    const auto number = line.status_index / limits::kStatusBlock;
    if (!stored.contains(number)) lost.insert(number);
  }).value();
  // A block is stored before its first token is made. Without it, state.db was removed, and with it
  // what was revoked: so all of it is, also what the log may have lost of the block. Stored at
  // once: the log may go next, and these places must stay taken.
  StatusChange change;
  for (const auto number : lost) {
    lost_ += ledger_.revoke_block(number, now);
    change.blocks.push_back(ledger_.block(number));
  }
  if (!change.empty()) store_->commit(change).value();
  ledger_.reopen();
}

awaitable<Result<std::uint32_t>> Revocations::admit(Jti jti, std::int64_t expires_at,
                                                    Authority authority, std::int64_t now) {
  auto place = ledger_.add(jti, expires_at, authority, instant_at(now));
  while (!place) {
    begin_reservation(expires_at, now);
    if (reserving_) co_await wait_for_turn();
    if (!reserved_) co_return reserved_.error();
    place = ledger_.add(jti, expires_at, authority, instant_at(now));
  }
  if (!ledger_.has_room(limits::kStatusPlacesAhead, expires_at)) begin_reservation(expires_at, now);
  co_return *place;
}

void Revocations::begin_reservation(std::int64_t expires_at, std::int64_t now) {
  if (reserving_) return;
  const auto longest = (limits::kStatusBlockUse + agents::kMaxDuration).count();
  unsaved_blocks_.merge(ledger_.expire(instant_at(now)));
  const auto block = ledger_.choose(std::max(now + longest, expires_at));
  reserved_ = block ? ok() : Result<void>(block.error());
  if (!block) return;
  reserving_ = true;
  asio::post(writer_, [this, block = *block] {
    auto stored = store_->commit({{block}, {}});
    asio::post(io_, [this, number = block.number, stored = std::move(stored)] {
      reserving_ = false;
      reserved_ = stored;
      if (stored) ledger_.opened(number);
      if (!stored) ledger_.dropped(number);
      turn_.cancel();
    });
  });
}

awaitable<Result<void>> Revocations::commit(StatusChange change) {
  std::function<Result<void>()> work = [this, change = std::move(change)] {
    return store_->commit(change);
  };
  co_return co_await on_writer(io_, writer_, std::move(work));
}

awaitable<void> Revocations::wait_for_turn() {
  boost::system::error_code cancelled;
  co_await turn_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

Ledger::Marked Revocations::mark(std::uint32_t index, std::int64_t now) {
  auto marked = ledger_.revoke(index, now);
  unsaved_blocks_.insert(marked.blocks.begin(), marked.blocks.end());
  return marked;
}

Ledger::Marked Revocations::mark(std::int64_t now, const Ledger::Wanted& wanted) {
  auto marked = ledger_.revoke(now, wanted);
  unsaved_blocks_.insert(marked.blocks.begin(), marked.blocks.end());
  return marked;
}

Result<std::int64_t> Revocations::raise_epoch(const std::string& agent) {
  auto epoch = epochs_.raise(agent);
  if (epoch) unsaved_epochs_.insert(agent);
  return epoch;
}

awaitable<Result<void>> Revocations::save() {
  StatusChange change;
  for (const auto number : unsaved_blocks_) change.blocks.push_back(ledger_.block(number));
  for (const auto& agent : unsaved_epochs_) {
    const auto epoch = epochs_.of(agent);
    if (!epoch) co_return epoch.error();
    change.epochs.emplace(agent, *epoch);
  }
  const auto blocks = std::exchange(unsaved_blocks_, {});
  const auto epochs = std::exchange(unsaved_epochs_, {});
  // Also with nothing new: what others took along waits in front of this on the writer's thread.
  auto stored = co_await commit(std::move(change));
  if (stored) co_return stored;
  unsaved_blocks_.insert(blocks.begin(), blocks.end());
  unsaved_epochs_.insert(epochs.begin(), epochs.end());
  co_return stored;
}

awaitable<Result<void>> Revocations::publish() {
  const auto wanted = ++asked_;
  while (covered_ < wanted) {
    if (publishing_) {
      co_await wait_for_turn();
      continue;
    }
    publishing_ = true;
    const auto covers = asked_;
    auto published = co_await publish_once();
    publishing_ = false;
    if (published) covered_ = covers;
    turn_.cancel();
    if (!published) co_return published;
  }
  co_return ok();
}

awaitable<Result<void>> Revocations::publish_once() {
  using Clock = std::chrono::system_clock;
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now().time_since_epoch()).count();
  const attest::StatusListClaims claims{issuer_, uri_, now, now + limits::kStatusListLife.count(),
                                        limits::kStatusListTtl.count()};
  auto bits = ledger_.bits();
  const auto covers = bits.size() * 8 / limits::kStatusBlock;
  std::function<Result<std::string>()> pack = [claims, bits = std::move(bits)] {
    return attest::status_list_payload(claims, bits);
  };
  const auto payload = co_await on_writer(io_, writer_, std::move(pack));
  if (!payload) co_return payload.error();
  const auto* key = keys_.current(now);
  if (key == nullptr)
    co_return fail(Errc::unavailable, "sign the status list: no issuing key is within its time",
                   "the key store must be ready for a new issuing key: see `badgectl status`");
  std::string jws;
  attest::append_signing_input(jws, attest::status_list_header(key->kid), *payload);
  const auto signature = key->key.sign(keystore::sha256(as_bytes(jws)));
  if (!signature) co_return signature.error();
  attest::append_signature(jws, *signature);
  list_ = jws;
  std::function<Result<void>()> write = [this, jws = std::move(jws)] {
    return replace_public_file(file_, jws);
  };
  auto written = co_await on_writer(io_, writer_, std::move(write));
  if (!written) co_return written;
  listed_at_ = now;
  listed_blocks_ = covers;
  co_return ok();
}

// Whether tokens will soon have places behind the end of the published list.
bool Revocations::is_running_out() const {
  return listed_blocks_ < limits::kStatusBlocks &&
         ledger_.blocks() + limits::kStatusBlocksAhead / 2 > listed_blocks_;
}

awaitable<Result<void>> Revocations::upkeep(std::int64_t now, bool may_publish) {
  constexpr std::int64_t kExpireEvery = 60;
  if (now - expired_at_ >= kExpireEvery || now < expired_at_) {
    unsaved_blocks_.merge(ledger_.expire(instant_at(now)));
    expired_at_ = now;
  }
  // What cannot be stored must not keep the list from its readers: it would expire.
  Result<void> saved = ok();
  if (!is_saved()) saved = co_await save();
  const auto age = now - listed_at_;
  const bool due = covered_ < asked_ || age < 0 || 2 * age >= limits::kStatusListTtl.count() ||
                   is_running_out() || ::access(file_.c_str(), F_OK) != 0;
  if (!due || !may_publish || publishing_ || keys_.current(now) == nullptr) co_return saved;
  auto published = co_await publish();
  co_return saved ? published : saved;
}

}  // namespace badged::tokens
