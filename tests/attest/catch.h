// Catch, taught to print a Result: it would try Boost's operator<<, which needs one of the value
// and of Error.
#pragma once

#include <catch2/catch.hpp>

#include "keystore/result.h"

template <class T, class E>
struct Catch::StringMaker<boost::system::result<T, E>> {
  static std::string convert(const boost::system::result<T, E>& result) {
    return result ? "a value" : "error: " + result.error().what;
  }
};
