// Is this caller an admin? Asked of the kernel at every verb.
#pragma once

#include "daemon/calls/table.h"

namespace badged::calls {

inline constexpr const char* kAdminGroup = "badged-admin";

// Root, or a process with badged-admin as its group or among the groups it connected with
// (SO_PEERGROUPS).
Result<AdminPeer> admin_peer(const front::Exchange& exchange);

}  // namespace badged::calls
