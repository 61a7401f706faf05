// Which records cannot stand together. See record_set.h for what a clash is.
#pragma once

#include <vector>

#include "daemon/agents/record_set.h"

namespace badged::agents {

// Some key that both give differs: no process can match both.
bool are_apart(const Match& one, const Match& other);

// Takes out every record that clashes with another, or that is above baseline, without a unit, on a
// uid that another record has too; each with an error. `records` is sorted by name. Near linear
// where records have units or uids of their own.
void remove_clashes(std::vector<RecordPtr>& records, Diagnostics& problems);

}  // namespace badged::agents
