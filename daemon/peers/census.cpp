#include "daemon/peers/census.h"

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>

#include "daemon/peers/connection_claim.h"
#include "daemon/peers/process_files.h"
#include "daemon/peers/process_opened.h"
#include "daemon/peers/unit.h"

namespace badged::peers {

struct Census::Claim {
  PeerCredentials credentials;
  OwnedFd pidfd;  // SO_PEERPIDFD's; on the older path empty until the process is met
};

// Owns the timer. Waits hold a weak reference, so stopping needs no waiting.
class Census::Sweeper : public std::enable_shared_from_this<Sweeper> {
 public:
  explicit Sweeper(Census& census) : census_(census), timer_(census.io_) {}
  void next() {
    timer_.expires_after(kSweepEvery / kSweepSlices);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = error ? nullptr : weak.lock();
      if (!self) return;
      self->census_.sweep_some(self->census_.processes_.size() / kSweepSlices + 1);
      self->next();
    });
  }

 private:
  Census& census_;
  boost::asio::steady_timer timer_;
};

BootMoment boot_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Result<void> prepare_listener(int listening_fd) {
  const int on = 1;
  if (::setsockopt(listening_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0) return ok();
  return Error(refuse_errno(PeerRefusal::kernel_failure, "SO_PASSCRED", errno));
}

Census::Namespaces Census::init_namespaces() {
  const OwnedFd init = open_process_directory(1).value();
  const auto user = read_namespace(init.get(), "user");
  if (user) {
    return {*user, read_namespace(init.get(), "pid").value(),
            read_namespace(init.get(), "mnt").value()};
  }
  // Some hosts shield their PID 1 even from CAP_SYS_PTRACE. The first namespaces have fixed numbers
  // (PROC_USER_INIT_INO and PROC_PID_INIT_INO of the kernel): where we are in them, so is PID 1.
  constexpr std::uint64_t kFirstUser = 0xEFFFFFFD, kFirstPid = 0xEFFFFFFC;
  const OwnedFd self = open_process_directory(::getpid()).value();
  const Namespaces ours{read_namespace(self.get(), "user").value(),
                        read_namespace(self.get(), "pid").value(),
                        read_namespace(self.get(), "mnt").value()};
  if (ours.user.inode != kFirstUser || ours.pid.inode != kFirstPid) {
    throw ErrorException(user.error());
  }
  return ours;
}

Census::Census(boost::asio::io_context& io, CensusOptions options)
    : io_(io),
      options_(options),
      older_path_(options.force_older_path || !kernel_has_peer_pidfd()),
      init_(init_namespaces()) {}

Census::~Census() = default;

PeerResult<std::shared_ptr<Process>> Census::admit(int connected_fd,
                                                   std::optional<BootMoment> queue_was_empty) {
  auto claimed = claim(connected_fd);
  if (!claimed) return claimed.error();
  const auto found = processes_.find(claimed->credentials.pid);
  const auto process = found == processes_.end() ? nullptr : found->second.lock();
  if (process && process->check_thoroughly() == Liveness::same) {
    return known(process, *claimed, connected_fd, queue_was_empty);
  }
  if (found != processes_.end()) processes_.erase(found);
  return meet(std::move(*claimed), connected_fd, queue_was_empty);
}

PeerResult<Census::Claim> Census::claim(int connected_fd) const {
  Claim claim;
  auto credentials = peer_credentials(connected_fd);
  if (!credentials) return credentials.error();
  claim.credentials = *credentials;
  if (older_path_) return claim;
  auto pidfd = peer_pidfd(connected_fd);
  if (!pidfd) return pidfd.error();
  claim.pidfd = std::move(*pidfd);
  // While this process lives its pid is its own, so /proc/PID and a known Process are of it.
  if (pidfd_is_readable(claim.pidfd.get())) return refuse(PeerRefusal::process_exited);
  return claim;
}

bool Census::is_proven(int connected_fd, std::uint64_t start_ticks, int directory,
                       std::optional<BootMoment> queue_was_empty) const {
  if (!older_path_) return true;  // by SO_PEERPIDFD itself
  return (queue_was_empty && is_older_than(start_ticks, *queue_was_empty)) ||
         nothing_was_sent(connected_fd) || holds_other_end(connected_fd, directory);
}

PeerResult<std::shared_ptr<Process>> Census::known(const std::shared_ptr<Process>& process,
                                                   const Claim& claim, int connected_fd,
                                                   std::optional<BootMoment> queue_was_empty) {
  const ProcessFacts& facts = process->facts();
  if (!is_proven(connected_fd, facts.start_ticks, process->directory_.get(), queue_was_empty)) {
    return refuse(PeerRefusal::identity_in_doubt);
  }
  if (claim.credentials.uid != facts.uid || claim.credentials.gid != facts.gid) {
    process->end(Liveness::ids_changed);
    return refuse(PeerRefusal::process_ids_changed);
  }
  return process;
}

PeerResult<ProcessFacts> Census::gather(const Claim& claim, int directory) const {
  ProcessFacts facts;
  facts.pid = claim.credentials.pid;
  const auto ids = read_ids(directory);
  if (!ids) return ids.error();
  facts.uid = ids->uid;
  facts.gid = ids->gid;
  if (claim.credentials.uid != facts.uid || claim.credentials.gid != facts.gid) {
    return refuse(PeerRefusal::process_ids_changed);
  }
  // The namespaces are judged twice: before the executable, so that nothing of a container's file
  // systems is touched, and after it: a process that leaves PID 1's user namespace can forge its
  // executable, and cannot come back.
  for (int round = 0; round < 2; ++round) {
    const auto user = read_namespace(directory, "user");
    if (!user) return user.error();
    if (*user != init_.user) return refuse(PeerRefusal::user_namespace);
    const auto pid = read_namespace(directory, "pid");
    if (!pid) return pid.error();
    if (*pid != init_.pid) return refuse(PeerRefusal::pid_namespace);
    if (round == 1) break;
    const auto mount = read_namespace(directory, "mnt");
    if (!mount) return mount.error();
    facts.host_mount_namespace = *mount == init_.mount;
    const auto executable = find_executable(directory);
    if (!executable) return executable.error();
    facts.executable_id = executable->id;
    facts.executable = executable_name(directory);
  }
  auto unit = unit_of(facts.pid);
  if (!unit) return unit.error();
  facts.unit = std::move(*unit);
  return facts;
}

PeerResult<std::shared_ptr<Process>> Census::meet(Claim claim, int connected_fd,
                                                  std::optional<BootMoment> queue_was_empty) {
  if (processes_.size() >= options_.max_processes) forget_dead();
  if (processes_.size() >= options_.max_processes) return refuse(PeerRefusal::too_many_processes);
  const pid_t pid = claim.credentials.pid;
  if (!claim.pidfd) {
    auto pidfd = pidfd_of(pid);
    if (!pidfd) return pidfd.error();
    claim.pidfd = std::move(*pidfd);
  }
  auto directory = open_process_directory(pid);
  if (!directory) return directory.error();
  // Before any fact: what is read from here on is of this memory image, or the last check says so.
  auto maps = open_process_file(directory->get(), "maps");
  if (!maps) return maps.error();
  auto stat_file = open_process_file(directory->get(), "stat");
  if (!stat_file) return stat_file.error();
  const auto stat = read_stat(stat_file->get());
  if (!stat) return stat.error();
  if (!is_proven(connected_fd, stat->start_ticks, directory->get(), queue_was_empty)) {
    return refuse(PeerRefusal::identity_in_doubt);
  }
  auto facts = gather(claim, directory->get());
  if (!facts) return facts.error();
  facts->start_ticks = stat->start_ticks;
  Process::Opened opened{
      std::move(*facts),     stat->layout,
      std::move(*directory), std::move(*maps),
      std::move(*stat_file), std::make_unique<ExitWatch>(io_, std::move(claim.pidfd))};
  const std::shared_ptr<Process> process(new Process(std::move(opened)));
  const Liveness confirmed = process->check_thoroughly();
  if (confirmed != Liveness::same) return refuse(confirmed);
  process->watch_exit();
  processes_[pid] = process;
  return process;
}

PeerResult<std::shared_ptr<Process>> Census::inspect(pid_t pid) {
  const auto found = processes_.find(pid);
  const auto process = found == processes_.end() ? nullptr : found->second.lock();
  if (process && process->check_thoroughly() == Liveness::same) return process;
  Claim claim;
  auto pidfd = pidfd_of(pid);
  if (!pidfd) return pidfd.error();
  claim.pidfd = std::move(*pidfd);
  const auto directory = open_process_directory(pid);
  if (!directory) return directory.error();
  const auto ids = read_ids(directory->get());
  if (!ids) return ids.error();
  claim.credentials = {pid, ids->uid, ids->gid};
  // There is no connection to prove: the pidfd alone says whose facts these are.
  return meet(std::move(claim), -1, BootMoment::max());
}

void Census::start_sweeping() {
  if (sweeper_) return;
  sweeper_ = std::make_shared<Sweeper>(*this);
  sweeper_->next();
}

void Census::stop() {
  sweeper_.reset();
}

void Census::sweep() {
  sweep_at_ = 0;
  sweep_some(processes_.size());
}

void Census::sweep_some(std::size_t count) {
  for (; count > 0 && !processes_.empty(); --count) {
    auto at = processes_.lower_bound(sweep_at_);
    if (at == processes_.end()) at = processes_.begin();
    const auto process = at->second.lock();
    sweep_at_ = at->first + 1;
    // Taken out before its listeners run: they may come back here.
    if (!process || process->ended()) processes_.erase(at);
    if (process) process->check_thoroughly();
  }
}

void Census::forget_dead() {
  std::erase_if(processes_, [](const auto& entry) {
    const auto process = entry.second.lock();
    return !process || process->ended();
  });
}

}  // namespace badged::peers
