// What badged sees of a process, as JSON, and what a stranger is told.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include "daemon/calls/table.h"

namespace badged::calls {

boost::json::object process_json(const peers::ProcessFacts& facts);

// 403 unauthorized_client: the caller's own facts and the correlation id, nothing of any record.
// Its first try is a finding.
boost::asio::awaitable<front::Response> answer_stranger(Service& service,
                                                        const front::Exchange& exchange,
                                                        NotAdmitted why);

}  // namespace badged::calls
