// Who may speak on a connection: the process that opened it, and no other that holds a descriptor
// of it (H1). A translation unit of its own, so that a test program can be linked without it and
// the tests that rely on it be seen failing.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "daemon/peers/peer.h"
#include "daemon/peers/refusal.h"

namespace badged::peers {

// Judges one message by the sender that the kernel attached to it (SO_PASSCRED); none when nothing
// was attached. Nothing returned: the message is `owner`'s own. Refusals: message_without_sender,
// foreign_message_sender, process_ids_changed (the same process under another uid or gid).
std::optional<PeerRefusal> check_sender(const ProcessFacts& owner,
                                        const std::optional<ucred>& sender);

}  // namespace badged::peers
