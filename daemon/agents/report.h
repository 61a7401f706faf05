// What admins see of records: the same words in `badgectl`, the daemon's answers and the documents.
// Pure functions over loaded records. The JSON is one object, UTF-8, no trailing newline.
#pragma once

#include <string>
#include <string_view>

#include "daemon/agents/record_set.h"

namespace badged::agents {

// `badgectl agents validate DIR`: every problem, then one line with the verdict. Nobody should need
// the exit code's meaning explained: 0 iff report.clean(). JSON:
// {"directory","ok","files","good":[names],
// "problems":[{"severity","file","line","column","message","hint"}]}.
std::string validation_text(const LoadReport& report, std::string_view directory);
std::string validation_json(const LoadReport& report, std::string_view directory);

// `badgectl matrix`: rows are autonomy, columns access, each cell its tier and its agents; at most
// 80 columns wide, ASCII. JSON: {"cells":[{"autonomy","access","tier","agents":[...]}]}.
std::string matrix_text(const RecordSet& records, const TierMap& map);
std::string matrix_json(const RecordSet& records, const TierMap& map);

// `badgectl agents list` and `agents show NAME`. JSON:
// {"agents":[{"name","owner","tier","autonomy", "access","binding","match":{...}}]}; one agent has
// all of its record besides, its "derivation", and for each of "grants" its "lifetime_seconds" and
// "token_type".
std::string list_text(const RecordSet& records);
std::string list_json(const RecordSet& records);
std::string record_text(const Record& record, const TierLimitTable& limits);
std::string record_json(const Record& record, const TierLimitTable& limits);

// `badgectl agents new --unit U`: a commented record for this unit that validates once its blanks
// (marked FILL-IN) are filled. Errc::malformed for a name that no record could hold.
Result<std::string> new_record(std::string_view unit);

}  // namespace badged::agents
