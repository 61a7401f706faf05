#include "daemon/calls/admission.h"

#include "daemon/await.h"

namespace badged::calls {

using boost::asio::awaitable;
using Kind = agents::MatchOutcome::Kind;

Admissions::Admissions(boost::asio::io_context& io) : io_(io), main_processes_(io), digests_(io) {}

const Admitted* Admissions::kept(const std::shared_ptr<peers::Process>& process,
                                 const agents::RecordSet& records) {
  if (&records != held_.get()) return nullptr;
  const auto found = kept_.find(process.get());
  if (found == kept_.end() || found->second.process.lock() != process) return nullptr;
  return &found->second.admitted;
}

awaitable<AdmissionOutcome> Admissions::admit(std::shared_ptr<peers::Process> process,
                                              std::shared_ptr<const agents::RecordSet> records) {
  if (held_ != records) {
    kept_.clear();
    held_ = records;
  }
  if (const auto* known = kept(process, *records)) co_return *known;
  agents::CallerFacts facts;
  facts.process = process->facts();
  std::optional<peers::Refusal> refusal;
  for (;;) {
    auto outcome = records->match(facts);
    if (outcome.kind == Kind::needs_main_process && !facts.main_process) {
      auto confirmed = co_await confirm_main(process);
      const bool is_child =
          !confirmed && confirmed.error().reason == peers::PeerRefusal::not_main_process;
      facts.main_process = confirmed  ? agents::MainProcess::yes
                           : is_child ? agents::MainProcess::no
                                      : agents::MainProcess::refused;
      if (!confirmed) {
        refusal = confirmed.error();
        facts.main_process_refused = refusal->what;
      }
      continue;
    }
    if (outcome.kind == Kind::needs_digest && facts.digest_refused.empty() &&
        !facts.executable_digest) {
      auto digest = co_await hash(process);
      if (digest) facts.executable_digest = *digest;
      if (!digest) {
        refusal = digest.error();
        facts.digest_refused = refusal->what;
      }
      continue;
    }
    if (outcome.kind != Kind::matched) co_return NotAdmitted{outcome.mismatch, refusal};
    Admitted admitted{outcome.record, facts.executable_digest};
    if (held_ == records) kept_[process.get()] = {process, admitted};
    co_return admitted;
  }
}

void Admissions::sweep() {
  std::erase_if(kept_, [](const auto& entry) {
    const auto process = entry.second.process.lock();
    return process == nullptr || process->ended().has_value();
  });
}

awaitable<peers::PeerResult<void>> Admissions::confirm_main(
    std::shared_ptr<peers::Process> process) {
  co_return co_await await_answer<peers::PeerResult<void>>(
      io_, [&](Answer<peers::PeerResult<void>> done) {
        main_processes_.confirm(process, std::move(done));
      });
}

awaitable<peers::PeerResult<Digest>> Admissions::hash(std::shared_ptr<peers::Process> process) {
  co_return co_await await_answer<peers::PeerResult<Digest>>(
      io_,
      [&](Answer<peers::PeerResult<Digest>> done) { digests_.digest(process, std::move(done)); });
}

}  // namespace badged::calls
