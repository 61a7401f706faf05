#include "daemon/tokens/memory_signing.h"

#include <boost/asio/post.hpp>

#include "daemon/await.h"

namespace badged::tokens {

using boost::asio::awaitable;

MemorySigning::MemorySigning(boost::asio::io_context& io)
    : io_(io),
      signer_([&io](std::function<void()> work) { boost::asio::post(io, std::move(work)); }) {}

bool MemorySigning::crowded() {
  if (counting_) return true;
  counting_ = true;
  // Behind everything that is ready now.
  boost::asio::post(io_, [this] {
    counting_ = false;
    signer_.wake();
  });
  return false;
}

awaitable<Result<Signature>> MemorySigning::sign(const keystore::MemoryKey& key, Digest digest) {
  if (!crowded()) co_return key.sign(digest);
  co_return co_await await_posted_answer<Result<Signature>>(
      [&](Answer<Result<Signature>> done) { signer_.sign(key, digest, std::move(done)); });
}

}  // namespace badged::tokens
