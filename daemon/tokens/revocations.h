// Which tokens are still good: their places in the status list, who revoked them, and the list as
// it is published.
//
// Belongs to the I/O thread; a thread of its own waits for the disk. What is marked is in force at
// once, in memory; save() makes it durable, publish() tells the resource servers.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <set>
#include <string>

#include "daemon/tokens/epochs.h"
#include "daemon/tokens/issuing_keys.h"
#include "daemon/tokens/ledger.h"
#include "daemon/tokens/status_store.h"

namespace badged::tokens {

class Revocations {
 public:
  struct Files {
    std::string audit_log;
    std::string published;  // state_dir/publish/status.jwt
  };
  // Reads the stored blocks and the tokens that the audit log has. Throws ErrorException where
  // they cannot be read: not knowing what was revoked, badged must not start. Where the log has
  // tokens of a block that the store does not have, the store has lost what was revoked of it: all
  // its places count as revoked, on disk when this returns.
  Revocations(boost::asio::io_context& io, std::unique_ptr<StatusStore> store, Epochs& epochs,
              const IssuingKeys& keys, std::string issuer, Files files, std::int64_t now);
  ~Revocations();  // waits for its thread

  // The place in the status list of a token that is about to be signed. The token counts as issued
  // from now on: a revocation that comes before it was handed out meets it too, so ask revoked()
  // before handing out. Waits for the disk only where no reserved place is left.
  boost::asio::awaitable<Result<std::uint32_t>> admit(Jti jti, std::int64_t expires_at,
                                                      Authority authority, std::int64_t now);
  bool revoked(std::uint32_t index) const { return ledger_.revoked(index); }
  // Unexpired tokens that count as revoked since this start, as their blocks were lost.
  std::size_t lost() const { return lost_; }
  const Ledger& ledger() const { return ledger_; }

  // Marks in memory. The blocks stay to be saved until save() has succeeded.
  Ledger::Marked mark(std::int64_t now, const Ledger::Wanted& wanted);
  // The one in this place, which Ledger::at() has named.
  Ledger::Marked mark(std::uint32_t index, std::int64_t now);
  // Whether all that was marked before is on disk, and in the file that is served.
  bool is_settled() const { return is_saved() && covered_ == asked_ && !publishing_; }
  // No token of this agent from before is good by its epoch either: the new one, to be saved. Fails
  // where the epoch has to be read first and cannot be.
  Result<std::int64_t> raise_epoch(const std::string& agent);

  // Completes when all that was marked before is on disk.
  boost::asio::awaitable<Result<void>> save();
  // Completes when a list that holds all that was marked before is in the file and served.
  boost::asio::awaitable<Result<void>> publish();
  // Saves what is due after a failure, and publishes where `may_publish` (its key must be published
  // before it): after a failure, when the list has aged, tokens are about to have places behind its
  // end, or its file is gone. Call each second.
  boost::asio::awaitable<Result<void>> upkeep(std::int64_t now, bool may_publish);

  const std::string& uri() const { return uri_; }
  const std::string& list() const { return list_; }  // compact JWS; empty before the first

 private:
  // Does nothing while another is under way. `reserved_` says how it went.
  void begin_reservation(std::int64_t expires_at, std::int64_t now);
  boost::asio::awaitable<Result<void>> commit(StatusChange change);
  boost::asio::awaitable<Result<void>> publish_once();
  boost::asio::awaitable<void> wait_for_turn();
  bool is_saved() const { return unsaved_blocks_.empty() && unsaved_epochs_.empty(); }
  bool is_running_out() const;
  void restore(const std::string& audit_log, std::int64_t now);

  boost::asio::io_context& io_;
  const std::unique_ptr<StatusStore> store_;  // the writer's, once it runs
  Epochs& epochs_;
  const IssuingKeys& keys_;
  const std::string issuer_;
  const std::string uri_;
  const std::string file_;
  Ledger ledger_;
  std::size_t lost_ = 0;
  std::set<std::uint32_t> unsaved_blocks_;
  std::set<std::string> unsaved_epochs_;
  std::string list_;
  std::int64_t listed_at_ = 0;
  std::size_t listed_blocks_ = 0;  // that the published list covers
  std::int64_t expired_at_ = 0;
  std::uint64_t asked_ = 0;    // publications that were wanted
  std::uint64_t covered_ = 0;  // of those, the ones that the published list holds
  bool publishing_ = false;
  bool reserving_ = false;
  Result<void> reserved_;           // the last reservation
  boost::asio::steady_timer turn_;  // cancelled when one of the two is over
  boost::asio::thread_pool writer_{1};
};

}  // namespace badged::tokens
