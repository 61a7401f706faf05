// From a process to the one record that it matches: the cheap facts first, then systemd's word on
// the main process, then the executable's digest, each only if the record asks for it.
//
// A match is kept for the life of the process or until records change; a mismatch is looked at anew
// each time. Belongs to the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>

#include "daemon/agents/record_set.h"
#include "daemon/peers/executable_digest.h"
#include "daemon/peers/main_process.h"
#include "daemon/peers/process.h"

namespace badged::calls {

struct Admitted {
  agents::RecordPtr record;
  std::optional<Digest> executable_digest;  // where the record asked for it
};

struct NotAdmitted {
  agents::Mismatch mismatch;              // which rule of the nearest record failed
  std::optional<peers::Refusal> refusal;  // why systemd or the executable could not confirm it
};

using AdmissionOutcome = std::variant<Admitted, NotAdmitted>;

class Admissions {
 public:
  explicit Admissions(boost::asio::io_context& io);

  // `records` must be those in force; another set than before forgets every match.
  boost::asio::awaitable<AdmissionOutcome> admit(std::shared_ptr<peers::Process> process,
                                                 std::shared_ptr<const agents::RecordSet> records);

  // The kept match, without asking anybody; null when there is none.
  const Admitted* kept(const std::shared_ptr<peers::Process>& process,
                       const agents::RecordSet& records);

  // Drops what belongs to processes that are gone. Call each second.
  void sweep();

 private:
  // Weak, and compared by owner: an address may be another process's later.
  struct Kept {
    std::weak_ptr<peers::Process> process;
    Admitted admitted;
  };
  boost::asio::awaitable<peers::PeerResult<void>> confirm_main(
      std::shared_ptr<peers::Process> process);
  boost::asio::awaitable<peers::PeerResult<Digest>> hash(std::shared_ptr<peers::Process> process);

  boost::asio::io_context& io_;
  peers::MainProcesses main_processes_;
  peers::ExecutableDigests digests_;
  std::shared_ptr<const agents::RecordSet> held_;  // the set that the matches are of
  std::unordered_map<const peers::Process*, Kept> kept_;
};

}  // namespace badged::calls
