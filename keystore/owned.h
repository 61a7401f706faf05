// RAII over a C library's objects: freed by the function that the library names for it.
#pragma once

#include <memory>

namespace badged {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

template <class T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

}  // namespace badged
