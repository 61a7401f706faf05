// What Census opens of a process and hands to Process. Only census.cpp and process.cpp include
// this.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>

#include "daemon/peers/owned_fd.h"
#include "daemon/peers/process.h"

namespace badged::peers {

class ExitWatch {
 public:
  ExitWatch(boost::asio::io_context& io, OwnedFd pidfd) : descriptor(io, pidfd.release()) {}
  void cancel() {
    boost::system::error_code ignored;  // nothing waits: nothing to cancel
    descriptor.cancel(ignored);
  }

  boost::asio::posix::stream_descriptor descriptor;  // the pidfd
};

struct Process::Opened {
  ProcessFacts facts;
  MemoryLayout layout;
  OwnedFd directory;
  OwnedFd maps;
  OwnedFd stat;
  std::unique_ptr<ExitWatch> watch;
};

}  // namespace badged::peers
