#include "daemon/peers/process.h"

#include <fcntl.h>

#include "daemon/peers/process_files.h"
#include "daemon/peers/process_opened.h"

namespace badged::peers {

Process::Listening& Process::Listening::operator=(Listening&& other) noexcept {
  std::swap(process_, other.process_);
  std::swap(listener_, other.listener_);
  Listening old(std::move(other));
  return *this;
}

Process::Listening::~Listening() {
  if (!listener_) return;
  *listener_ = nullptr;  // not called any more, even when the process is just ending
  if (const auto process = process_.lock()) std::erase(process->listeners_, listener_);
}

Process::Process(Opened opened)
    : facts_(std::move(opened.facts)),
      layout_(opened.layout),
      directory_(std::move(opened.directory)),
      maps_(std::move(opened.maps)),
      stat_(std::move(opened.stat)),
      watch_(std::move(opened.watch)) {}

Process::~Process() = default;

int Process::pidfd() const {
  return watch_->descriptor.native_handle();
}

OwnedFd Process::duplicate_directory() const {
  return OwnedFd(::fcntl(directory_.get(), F_DUPFD_CLOEXEC, 3));
}

bool Process::has_exited() const {
  return pidfd_is_readable(pidfd());
}

Liveness Process::check() {
  if (ended_) return *ended_;
  const bool same = memory_is_same(maps_.get());
  if (has_exited()) {
    end(Liveness::exited);
  } else if (!same) {
    // An exiting process loses its memory a moment before its pidfd becomes readable.
    const auto stat = read_stat(stat_.get());
    end(!stat || stat->exiting ? Liveness::exited : Liveness::execed);
  }
  return ended_.value_or(Liveness::same);
}

Liveness Process::check_thoroughly() {
  if (check() != Liveness::same) return *ended_;
  const auto stat = read_stat(stat_.get());
  // No layout: its first thread has ended while others run. The maps descriptor has spoken.
  const bool execed = stat && stat->layout != MemoryLayout{} && stat->layout != layout_;
  if (execed) end(Liveness::execed);
  if (!stat) end(Liveness::exited);
  return ended_.value_or(Liveness::same);
}

void Process::watch_exit() {
  watch_->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                [weak = weak_from_this()](const boost::system::error_code& error) {
                                  const auto process = error ? nullptr : weak.lock();
                                  if (!process) return;
                                  // Asio may hand on what was reported of a descriptor that
                                  // was closed, to the one that has its place now: ask.
                                  if (!process->has_exited()) return process->watch_exit();
                                  process->end(Liveness::exited);
                                });
}

void Process::end(Liveness why) {
  if (ended_ || why == Liveness::same) return;
  const auto self = shared_from_this();  // a listener may drop the last other reference
  ended_ = why;
  watch_->cancel();
  const auto listeners = std::exchange(listeners_, {});
  for (const auto& each : listeners) {
    // Taken out before it runs: it may destroy its own Listening.
    const EndListener listener = std::exchange(*each, nullptr);
    if (listener) listener(why);
  }
}

Process::Listening Process::on_end(EndListener listener) {
  Listening listening;
  if (ended_) {
    listener(*ended_);
    return listening;
  }
  listening.process_ = weak_from_this();
  listening.listener_ = std::make_shared<EndListener>(std::move(listener));
  listeners_.push_back(listening.listener_);
  return listening;
}

}  // namespace badged::peers
