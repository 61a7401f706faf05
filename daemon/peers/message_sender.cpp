#include "daemon/peers/message_sender.h"

namespace badged::peers {

std::optional<PeerRefusal> check_sender(const ProcessFacts& owner,
                                        const std::optional<ucred>& sender) {
  if (!sender) return PeerRefusal::message_without_sender;
  if (sender->pid != owner.pid) return PeerRefusal::foreign_message_sender;
  if (sender->uid != owner.uid || sender->gid != owner.gid) return PeerRefusal::process_ids_changed;
  return std::nullopt;
}

}  // namespace badged::peers
