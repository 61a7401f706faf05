// The daemon as a whole: builds every part, in the order in which they stand on each other, runs,
// and stops in order.
//
// One io_context thread (the one that calls run()) has all sockets and state. The key store, the
// audit log and the peers' workers have threads of their own and answer by callback.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/agents/record_set.h"
#include "daemon/audit/log.h"
#include "daemon/audit/recorder.h"
#include "daemon/audit/state_db.h"
#include "daemon/audit/verify.h"
#include "daemon/calls/service.h"
#include "daemon/calls/table.h"
#include "daemon/clock_watch.h"
#include "daemon/config/config.h"
#include "daemon/front/server.h"
#include "daemon/manager.h"
#include "daemon/peers/census.h"
#include "daemon/tokens/issuing_keys.h"
#include "daemon/tokens/memory_signing.h"
#include "daemon/tokens/publish.h"
#include "daemon/tokens/revocations.h"
#include "daemon/tokens/sessions.h"
#include "keystore/store.h"

namespace badged {

class Daemon {
 public:
  // Throws ErrorException for what keeps badged from starting: the error says what to do.
  explicit Daemon(config::Config config);
  ~Daemon();

  // Until SIGTERM or SIGINT. 0 after an orderly stop.
  int run();

 private:
  void close_store();
  boost::asio::awaitable<void> start();
  boost::asio::awaitable<void> wait_for_store();
  // Two loops of a second: what waits for the key store must not hold up deadlines, sweeps and the
  // watchdog.
  boost::asio::awaitable<void> tick_loop();
  void tick();
  boost::asio::awaitable<void> upkeep_loop();
  boost::asio::awaitable<void> keep_issuing_keys(std::int64_t now);
  boost::asio::awaitable<Result<void>> try_issuing_keys(std::int64_t now);
  boost::asio::awaitable<void> keep_status_list(std::int64_t now);
  boost::asio::awaitable<void> checkpoint();
  // Reads the whole audit log after a start, and each day.
  boost::asio::awaitable<void> review_loop();
  void note_review(const Result<audit::Verdict>& verdict);
  boost::asio::awaitable<void> hangup_loop();
  boost::asio::awaitable<void> stop();
  boost::asio::awaitable<calls::ReloadResult> reload(std::string who, audit::Entry entry);
  void put_in_force(agents::TierRules rules, std::shared_ptr<const agents::RecordSet> records);
  void load_records_at_start();
  void tell_of_lost_revocations();
  void open_sockets();
  void note_store_state(const keystore::StoreState& state);
  void warn(std::string text);
  // What is tried each second: told once, and in `status` for as long as it lasts. True: it is
  // another than `noted`.
  bool note_problem(std::string& noted, const Result<void>& kept);
  void finding(std::string_view reason, std::string_view detail);
  void trouble(const std::string& text);  // to the journal, equal ones once a minute

  config::Config config_;
  boost::asio::io_context io_{1};
  Manager manager_;
  std::vector<std::string> warnings_;
  std::map<std::string, std::chrono::steady_clock::time_point> told_;  // troubles of this minute
  ClockWatch clock_;
  calls::Policy policy_;
  std::unique_ptr<audit::StateDb> state_;
  std::unique_ptr<audit::Log> log_;
  std::unique_ptr<audit::Recorder> recorder_;
  std::unique_ptr<keystore::Store> store_;
  std::unique_ptr<peers::Census> census_;
  std::unique_ptr<calls::Admissions> admissions_;
  std::unique_ptr<tokens::Epochs> epochs_;
  std::unique_ptr<tokens::IssuingKeys> issuing_keys_;
  std::unique_ptr<tokens::MemorySigning> memory_signing_;
  std::unique_ptr<tokens::Publisher> publisher_;
  std::unique_ptr<tokens::Revocations> revocations_;
  std::unique_ptr<tokens::Sessions> sessions_;
  std::unique_ptr<calls::EvidenceWork> evidence_;
  std::unique_ptr<calls::Service> service_;
  std::unique_ptr<front::Server> server_;
  boost::asio::signal_set terminate_;
  boost::asio::signal_set hangup_;
  boost::asio::steady_timer ticker_;
  boost::asio::steady_timer upkeep_;
  boost::asio::steady_timer review_;
  std::chrono::steady_clock::time_point last_upkeep_ = std::chrono::steady_clock::now();
  boost::asio::steady_timer store_change_;
  // Reads records at a reload: ten thousand take a second, which is too long for the I/O thread.
  boost::asio::thread_pool loader_{1};
  boost::asio::thread_pool reviewer_{1};
  std::stop_source review_stop_;
  bool reloading_ = false;
  bool issuing_keys_open_ = false;
  bool published_ = false;       // the keys of now, in the files
  std::string issuing_problem_;  // what was told last; empty: none
  std::string status_problem_;   // of the status list, alike
  std::string audit_problem_;    // of the audit log, alike
  bool stopping_ = false;
  std::uint64_t last_checkpoint_ = 0;  // seq up to which nothing new needs a signature
  std::exception_ptr failure_;         // of start(): what keeps badged from running
};

}  // namespace badged
