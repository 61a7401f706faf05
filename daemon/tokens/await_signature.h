// A signature by a key of the store, awaited on the I/O thread: the one way in which the daemon
// asks.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "daemon/await.h"
#include "keystore/store.h"

namespace badged::tokens {

inline boost::asio::awaitable<Result<Signature>> await_signature(boost::asio::io_context& io,
                                                                 keystore::Store& store,
                                                                 keystore::KeyId key, Digest digest,
                                                                 keystore::Caller caller) {
  co_return co_await await_answer<Result<Signature>>(io, [&](Answer<Result<Signature>> done) {
    store.sign(key, digest, caller, std::move(done));
  });
}

}  // namespace badged::tokens
