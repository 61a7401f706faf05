// How handlers put things on record: durable before the answer.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "daemon/calls/answers.h"
#include "daemon/calls/table.h"

namespace badged::calls {

// Completes when the entry is on disk, or could not be put there.
boost::asio::awaitable<Result<void>> durable(Service& service, const audit::Entry& entry);

// An entry about this exchange: kind, txn, uid, pid, and the agent where one is known.
audit::Entry entry_about(std::string_view kind, const Context& context);

// Looks at the clock; a step is a finding on record.
void watch_clock(Service& service);

// A refusal on record (equal ones are counted), then its answer. Give `answer` a name in the
// caller: GCC 12 destroys a braced temporary in a co_await expression twice.
boost::asio::awaitable<front::Response> deny(Context context, std::string_view kind,
                                             std::string_view reason, std::string detail,
                                             const Problem& answer);

}  // namespace badged::calls
