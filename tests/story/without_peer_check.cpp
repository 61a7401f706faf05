// Takes the place of daemon/peers/message_sender.cpp in a program for tests: an object comes before
// the archive's member of the same name, so that is never looked at. Every message counts as the
// connection's owner's.
#include "daemon/peers/message_sender.h"

namespace badged::peers {

std::optional<PeerRefusal> check_sender(const ProcessFacts&, const std::optional<ucred>&) {
  return std::nullopt;
}

}  // namespace badged::peers
