#include "daemon/tokens/sessions.h"

#include <unistd.h>

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "attest/jose/base64url.h"
#include "daemon/await.h"
#include "daemon/tokens/limits.h"
#include "keystore/random.h"

namespace badged::tokens {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

std::string random_id() {
  std::array<std::uint8_t, 16> bytes{};
  keystore::fill_random(bytes);
  return attest::base64url(bytes);
}

// systemd removes or replaces this link when an invocation ends.
bool invocation_is_current(const std::string& unit, const std::string& invocation) {
  std::array<char, 64> target{};
  const auto path = "/run/systemd/units/invocation:" + unit;
  const auto length = ::readlink(path.c_str(), target.data(), target.size());
  return length > 0 &&
         std::string_view(target.data(), static_cast<std::size_t>(length)) == invocation;
}

Error process_ended() {
  return fail(Errc::changed, "open a session: the process ended or started another program");
}

Error ended_meanwhile() {
  return fail(Errc::busy, "open a session: the session was ended meanwhile");
}

}  // namespace

// One place in the table. While `session` is null its key is being made, and callers wait on
// `made`.
struct Sessions::Slot {
  explicit Slot(asio::io_context& io) : made(io, asio::steady_timer::time_point::max()) {}
  SessionPtr session;
  asio::steady_timer made;  // cancelled to wake those who wait
  std::size_t waiting = 0;
  std::optional<Error> failure;
  // Process binding: held so that the agent may close its connection and come back, and so that no
  // other Process can have the address that the table's key names.
  std::shared_ptr<peers::Process> process;
  peers::Process::Listening process_end;
};

Sessions::Sessions(asio::io_context& io, keystore::Store& store, Ended ended)
    : io_(io), store_(store), ended_(std::move(ended)) {}

Sessions::~Sessions() = default;

Sessions::Key Sessions::key_of(const peers::Process& process, const agents::Record& record) {
  if (record.binding == agents::Binding::process) return {&process, record.name, "", "", 0};
  const auto& facts = process.facts();
  return {nullptr, record.name, facts.unit.name, facts.unit.invocation_id, facts.uid};
}

SessionPtr Sessions::find(const peers::Process& process, const agents::Record& record) const {
  const auto found = slots_.find(key_of(process, record));
  return found == slots_.end() ? nullptr : found->second->session;
}

SessionPtr Sessions::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::size_t Sessions::end_where(const std::string& agent,
                                const std::function<bool(const Session&)>& wanted,
                                const char* why) {
  std::vector<Key> over;
  std::size_t lived = 0;
  for (const auto& [key, slot] : slots_) {
    const bool unborn = slot->session == nullptr && !agent.empty() && std::get<1>(key) == agent;
    if (!unborn && (slot->session == nullptr || !wanted(*slot->session))) continue;
    lived += unborn ? 0 : 1;
    over.push_back(key);
  }
  for (const auto& key : over) end(key, why);
  return lived;
}

void Sessions::each(const std::function<void(const Session&)>& visit) const {
  for (const auto& [id, session] : by_id_) visit(*session);
}

awaitable<Result<SessionPtr>> Sessions::open(std::shared_ptr<peers::Process> process,
                                             agents::RecordPtr record, keystore::Custody custody) {
  const auto key = key_of(*process, *record);
  auto found = slots_.find(key);
  if (found != slots_.end() && found->second->session != nullptr &&
      found->second->session->custody() != custody) {
    end(key, "custody-changed");
    found = slots_.end();
  }
  if (found != slots_.end() && found->second->session != nullptr) co_return found->second->session;
  if (found != slots_.end()) {
    const auto slot = found->second;
    if (slot->waiting >= limits::kMaxWaitersPerSession)
      co_return fail(Errc::busy, "open a session: too many requests wait for its key");
    ++slot->waiting;
    boost::system::error_code cancelled;
    co_await slot->made.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (slot->session != nullptr && !slot->session->ended()) co_return slot->session;
    co_return slot->failure.value_or(process_ended());
  }
  if (slots_.size() >= limits::kMaxSessions)
    co_return fail(Errc::busy, "open a session: too many sessions are alive");
  const auto slot = std::make_shared<Slot>(io_);
  if (record->binding == agents::Binding::process) slot->process = process;
  slots_.emplace(key, slot);
  Result<SessionPtr> made = fail(Errc::internal, "open a session");
  try {
    made = co_await make(process, std::move(record), custody);
  } catch (const std::exception& problem) {
    // Or the place would stay taken for ever, and its waiters with it.
    made = fail(Errc::internal, std::string("open a session: ") + problem.what());
  }
  const auto still = slots_.find(key);
  const bool ours = still != slots_.end() && still->second == slot;
  if (made) slot->session = *made;
  if (!made) slot->failure = made.error();
  if (made && ours) by_id_[(*made)->id()] = *made;
  if (made && ours) adopt(key, slot, process);
  if (made && !ours) {
    close(**made, "superseded");
    slot->failure = ended_meanwhile();
  }
  if (!made && ours) slots_.erase(still);
  slot->made.cancel();
  if (made && (*made)->ended()) co_return slot->failure.value_or(process_ended());
  co_return made;
}

awaitable<Result<SessionPtr>> Sessions::make(std::shared_ptr<peers::Process> process,
                                             agents::RecordPtr record, keystore::Custody custody) {
  auto key = co_await make_key(*process, custody);
  if (!key) co_return key.error();
  const auto binding = record->binding;
  auto session =
      std::make_shared<Session>(random_id(), std::move(record), binding, std::move(*key), custody);
  // The process may have ended while the TPM worked, and its end was announced before we listened.
  if (process->check_thoroughly() != peers::Liveness::same) {
    close(*session, "process-ended");
    co_return process_ended();
  }
  co_return session;
}

awaitable<Result<Session::PopKey>> Sessions::make_key(const peers::Process& process,
                                                      keystore::Custody custody) {
  if (custody != keystore::Custody::tpm) {
    auto key = keystore::MemoryKey::generate();
    if (!key) co_return key.error();
    co_return Session::PopKey(std::move(*key));
  }
  const keystore::Caller caller = process.facts().uid;
  auto key = co_await await_answer<Result<keystore::StoredKey>>(
      io_, [&](Answer<Result<keystore::StoredKey>> done) {
        store_.create_key(caller, std::move(done));
      });
  if (!key) co_return key.error();
  co_return Session::PopKey(std::move(*key));
}

void Sessions::adopt(const Key& key, const SlotPtr& slot,
                     const std::shared_ptr<peers::Process>& process) {
  // A unit's session outlives the process that opened it; its invocation is watched by sweep().
  if (std::get<0>(key) == nullptr) return;
  slot->process_end =
      process->on_end([this, key](peers::Liveness why) { end(key, peers::to_string(why)); });
}

void Sessions::end(const Key& key, const char* why) {
  const auto found = slots_.find(key);
  if (found == slots_.end()) return;
  const auto slot = found->second;
  slots_.erase(found);
  if (slot->session != nullptr) close(*slot->session, why);
}

void Sessions::close(Session& session, const char* why) {
  if (session.ended()) return;
  const auto kept = by_id_.extract(session.id());  // held until the end of this function
  if (const auto* stored = session.stored_key()) store_.destroy(stored->id, {});
  session.end();
  ended_(session, why);
}

void Sessions::sweep() {
  std::vector<Key> over;
  for (const auto& [key, slot] : slots_) {
    const auto& [process, agent, unit, invocation, uid] = key;
    if (process == nullptr && !invocation_is_current(unit, invocation)) over.push_back(key);
  }
  for (const auto& key : over) end(key, "invocation-ended");
}

void Sessions::rest_idle_keys() {
  for (const auto& [key, slot] : slots_)
    if (slot->session != nullptr) slot->session->rest_if_idle();
}

void Sessions::retain(const std::function<bool(const Session&)>& keep) {
  std::vector<Key> over;
  // One whose key is being made was asked for under the records from before: it ends unborn.
  for (const auto& [key, slot] : slots_)
    if (slot->session == nullptr || !keep(*slot->session)) over.push_back(key);
  for (const auto& key : over) end(key, "record-changed");
}

void Sessions::end_all(const char* why) {
  while (!slots_.empty()) end(slots_.begin()->first, why);
}

}  // namespace badged::tokens
