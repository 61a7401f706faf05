// What badged does with its own record: signs its head, and reads it again.
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "attest/jose/jws.h"
#include "daemon/audit/checkpoint.h"
#include "daemon/audit/verify.h"
#include "daemon/await.h"
#include "daemon/calls/recording.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "daemon/tokens/await_signature.h"
#include "keystore/sha256.h"

namespace badged {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

awaitable<void> Daemon::checkpoint() {
  const auto head = log_->head();
  const auto issuer = store_->issuer();
  if (head.seq == 0 || head.seq == last_checkpoint_ || !issuer) co_return;
  auto jws = audit::checkpoint_signing_input(config_.issuer, attest::thumbprint(issuer->public_key),
                                             head, calls::unix_now());
  const auto digest = keystore::sha256(as_bytes(jws));
  const auto signature =
      co_await tokens::await_signature(io_, *store_, issuer->id, digest, keystore::kOwnWork);
  if (!signature) co_return log(Level::warning, "sign the audit head: " + signature.error().what);
  attest::append_signature(jws, *signature);
  const auto written = co_await calls::durable(*service_, audit::checkpoint_entry(head, jws));
  if (!written) log(Level::error, written.error().what);
  // The checkpoint's own line needs no other one.
  last_checkpoint_ = log_->head().seq == head.seq + 1 ? head.seq + 1 : head.seq;
}

// Lines were followed when they were written, and the end is looked at by each start: this finds
// what was edited before it. Beside the work, as a log of years takes a minute to read.
awaitable<void> Daemon::review_loop() {
  constexpr auto kEvery = 24h;
  boost::system::error_code error;
  while (!stopping_ && !error) {
    const auto head = log_->head();
    const auto verdict = co_await await_answer<Result<audit::Verdict>>(
        io_, [this, head](Answer<Result<audit::Verdict>> done) {
          asio::post(reviewer_, [done = std::move(done), path = log_->path(), head,
                                 stop = review_stop_.get_token()] {
            done(audit::verify_written(path, head, stop));
          });
        });
    if (stopping_) co_return;
    note_review(verdict);
    review_.expires_after(kEvery);
    co_await review_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

void Daemon::note_review(const Result<audit::Verdict>& verdict) {
  Result<void> kept = ok();
  if (!verdict)
    kept = fail(verdict.error().code, "review the audit log: " + verdict.error().what,
                verdict.error().hint);
  else if (!verdict->intact)
    kept = fail(Errc::malformed, "the audit log was changed: " + verdict->problem,
                "keep the file as it is and compare it with the last copy off the host");
  if (note_problem(audit_problem_, kept) && !kept) finding("audit-log", kept.error().what);
}

}  // namespace badged
