#include "keystore/store.h"

namespace badged::keystore {

const char* to_string(Condition condition) {
  switch (condition) {
    case Condition::ready:
      return "ready";
    case Condition::starting:
      return "starting";
    case Condition::missing:
      return "missing";
    case Condition::no_permission:
      return "no-permission";
    case Condition::lockout:
      return "lockout";
    case Condition::replaced:
      return "replaced";
    case Condition::failed:
      return "failed";
    case Condition::hanging:
      return "hanging";
  }
  return "unknown";
}

}  // namespace badged::keystore
