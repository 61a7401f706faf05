#include "daemon/calls/service.h"

#include <chrono>

namespace badged::calls {

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace badged::calls
