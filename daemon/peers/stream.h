// A connected Unix stream whose every message is checked against the one process that may speak.
//
// Asio's and Beast's own reads drop the sender that the kernel attaches (SO_PASSCRED), so reading
// is done here, with recvmsg. Nothing is buffered while idle: the caller passes its scratch buffer,
// which all connections may share. Belongs to the I/O thread.
//
// The kernel never merges messages of two senders into one read. Descriptors sent with SCM_RIGHTS
// are never installed in this process: the control buffer has no room for them.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <memory>
#include <span>

#include "daemon/peers/owned_fd.h"
#include "daemon/peers/process.h"
#include "daemon/peers/refusal.h"
#include "keystore/bytes.h"

namespace badged::peers {

enum class StreamState {
  ready,        // `bytes` were moved, at least one
  would_block,  // wait for the descriptor, then try again
  closed,       // read: the other side is done sending. write: it reads no more
};

struct Moved {
  StreamState state = StreamState::would_block;
  std::size_t bytes = 0;
};

class Stream {
 public:
  // Takes over `fd`: non-blocking, close-on-exec, SO_PASSCRED on. kernel_failure if that fails.
  static PeerResult<Stream> open(boost::asio::io_context& io, OwnedFd fd,
                                 std::shared_ptr<Process> process);

  // Reads what one sender sent, up to buffer.size() bytes. Refusals: foreign_message_sender,
  // process_ids_changed (it sends under another uid or gid now; ends the process),
  // message_without_sender, passed_descriptor. After a refusal
  // the buffer holds nothing of use, every later read gives the same refusal, and the owner closes.
  // A pid names the sender only while the process lives: after the whole request was read, call
  // process().check() before anything is done for it.
  PeerResult<Moved> read_some(std::span<std::uint8_t> buffer);

  // kernel_failure for errors other than a gone reader. Never raises SIGPIPE.
  PeerResult<Moved> write_some(ByteView bytes);

  // For async_wait(wait_read / wait_write) and cancel(); not for reading or writing.
  boost::asio::posix::stream_descriptor& descriptor() { return descriptor_; }

  Process& process() const { return *process_; }
  const std::shared_ptr<Process>& shared_process() const { return process_; }

  void close();

 private:
  Stream(boost::asio::posix::stream_descriptor descriptor, std::shared_ptr<Process> process);

  boost::asio::posix::stream_descriptor descriptor_;
  std::shared_ptr<Process> process_;
  std::optional<PeerRefusal> refused_;
};

}  // namespace badged::peers
