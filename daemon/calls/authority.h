// What an agent could do at worst now: the authority of its unexpired, unrevoked tokens.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "daemon/calls/service.h"

namespace badged::calls {

// {"sessions":N,"tokens":N,"until":UNIX,"authority":[{"audience","scope","until","tokens"}…]};
// until is absent where there is no token. One entry per audience: its tokens together allow the
// union of their scopes.
boost::json::object authority_now(const Service& service, std::string_view agent);

}  // namespace badged::calls
