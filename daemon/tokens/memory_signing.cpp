#include "daemon/tokens/memory_signing.h"

#include <boost/asio/post.hpp>

#include "daemon/await.h"

namespace badged::tokens {

using boost::asio::awaitable;

MemorySigning::MemorySigning(boost::asio::io_context& io)
    : io_(io),
      signer_([&io](std::function<void()> work) { boost::asio::post(io, std::move(work)); }) {}

void MemorySigning::come_round() {
  if (coming_) return;
  coming_ = true;
  boost::asio::post(io_, [this] {
    coming_ = false;
    if (signer_.help()) come_round();
  });
}

awaitable<Result<Signature>> MemorySigning::sign(const keystore::MemoryKey& key, Digest digest) {
  co_return co_await await_posted_answer<Result<Signature>>([&](Answer<Result<Signature>> done) {
    signer_.sign(key, digest, std::move(done));
    come_round();
  });
}

}  // namespace badged::tokens
