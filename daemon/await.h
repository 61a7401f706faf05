// From callbacks to co_await.
//
// The layers below (key store, audit log, peers) answer by callback, on threads of their own or
// inline. A handler awaits such an answer with one of these; both resume on the I/O thread.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <utility>

namespace badged {

template <class T>
using Answer = std::function<void(T)>;

// `start(Answer<T>)` begins the work. The answer may come from any thread, even before start
// returns. It must come: a lost answer would hold its connection until the daemon stops.
template <class T, class Start>
auto await_answer(boost::asio::io_context& io, Start start) {
  auto initiate = [&io](auto handler, Start begin) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    begin(Answer<T>([&io, shared](T value) {
      boost::asio::post(
          io, [shared, value = std::move(value)]() mutable { (*shared)(std::move(value)); });
    }));
  };
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(T)>(
      std::move(initiate), boost::asio::use_awaitable, std::move(start));
}

// The same where the answer is known to come later, and on the I/O thread: no second hop.
template <class T, class Start>
auto await_posted_answer(Start start) {
  auto initiate = [](auto handler, Start begin) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    begin(Answer<T>([shared](T value) { (*shared)(std::move(value)); }));
  };
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(T)>(
      std::move(initiate), boost::asio::use_awaitable, std::move(start));
}

}  // namespace badged
