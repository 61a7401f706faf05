// All sessions: who has one, opening, and every way they end.
//
// Process binding: one session per process. Unit binding: one per agent, unit, InvocationID and
// uid, shared by the unit's processes. Belongs to the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include "daemon/policy/decision.h"
#include "daemon/tokens/session.h"

namespace badged::tokens {

class Sessions {
 public:
  // Told of each session that ended, for the record of its use.
  using Ended = std::function<void(const Session&, const char* why)>;

  Sessions(boost::asio::io_context& io, keystore::Store& store, Ended ended);
  ~Sessions();

  // The caller's session, opened if there is none or if the record now wants another kind of key.
  // Callers that come while a TPM key is being made wait for the same one. Errc::changed when the
  // process ended meanwhile, Errc::busy when the session was ended: by a revocation, a reload.
  boost::asio::awaitable<Result<SessionPtr>> open(std::shared_ptr<peers::Process> process,
                                                  agents::RecordPtr record,
                                                  keystore::Custody custody);

  // Null when the caller has none.
  SessionPtr find(const peers::Process& process, const agents::Record& record) const;

  // By its id; null when no such session lives.
  SessionPtr find(const std::string& id) const;
  // Ends what is wanted, at once; one whose key is being made ends unborn where `agent` is its
  // agent's name. How many lived.
  std::size_t end_where(const std::string& agent, const std::function<bool(const Session&)>& wanted,
                        const char* why);
  void each(const std::function<void(const Session&)>& visit) const;

  // Ends unit sessions whose invocation is over. Call each second.
  void sweep();
  // Lets the keys of idle sessions rest. Call each minute.
  void rest_idle_keys();
  // Ends the sessions of agents for which `keep` says no. Call after a reload.
  void retain(const std::function<bool(const Session&)>& keep);
  void end_all(const char* why);

  std::size_t size() const { return slots_.size(); }

 private:
  // Process binding: the process. Unit binding: null, and the rest says which invocation.
  using Key = std::tuple<const peers::Process*, std::string, std::string, std::string, uid_t>;
  struct Slot;
  using SlotPtr = std::shared_ptr<Slot>;

  static Key key_of(const peers::Process& process, const agents::Record& record);
  boost::asio::awaitable<Result<SessionPtr>> make(std::shared_ptr<peers::Process> process,
                                                  agents::RecordPtr record,
                                                  keystore::Custody custody);
  boost::asio::awaitable<Result<Session::PopKey>> make_key(const peers::Process& process,
                                                           keystore::Custody custody);
  void adopt(const Key& key, const SlotPtr& slot, const std::shared_ptr<peers::Process>& process);
  void end(const Key& key, const char* why);
  void close(Session& session, const char* why);

  boost::asio::io_context& io_;
  keystore::Store& store_;
  const Ended ended_;
  std::map<Key, SlotPtr> slots_;
  std::unordered_map<std::string, SessionPtr> by_id_;  // those that live
};

}  // namespace badged::tokens
