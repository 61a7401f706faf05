// How Catch prints a Result<T> in a failed check: the error, or that there is a value.
#pragma once

#include <catch2/catch.hpp>

#include "keystore/result.h"

namespace Catch {

template <class T>
struct StringMaker<boost::system::result<T, badged::Error>> {
  static std::string convert(const boost::system::result<T, badged::Error>& result) {
    if (result.has_value()) return "a value";
    return std::string(to_string(result.error().code)) + ": " + result.error().what;
  }
};

}  // namespace Catch
