// Signatures by keys in locked memory, awaited on the I/O thread: made there while one request is
// alone, and on a thread beside it too when several are ready at once.
//
// Alone, a hop to another thread would cost a request more than it saves; together, the I/O thread
// reads and writes while the other signs, and signs as well when it would wait.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "keystore/memory_signer.h"

namespace badged::tokens {

class MemorySigning {
 public:
  explicit MemorySigning(boost::asio::io_context& io);

  // `key` may be destroyed while this waits.
  boost::asio::awaitable<Result<Signature>> sign(const keystore::MemoryKey& key, Digest digest);

 private:
  // Posts help() behind all that is ready, one at a time.
  void come_round();

  boost::asio::io_context& io_;
  bool coming_ = false;
  keystore::MemorySigner signer_;
};

}  // namespace badged::tokens
