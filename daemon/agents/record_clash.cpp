#include "daemon/agents/record_clash.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "daemon/agents/unit_name.h"

namespace badged::agents {
namespace {

using Indexes = std::vector<std::size_t>;

bool units_apart(const std::string& one, const std::string& other) {
  if (one == other) return false;
  return template_of(one) != other && template_of(other) != one;
}

bool is_same_file(const Match& one, const Match& other) {
  return one.executable == other.executable || one.executable_id.is_same_file(other.executable_id);
}

bool share_a_digest(const std::vector<Digest>& one, const std::vector<Digest>& other) {
  std::vector<Digest> both;
  std::set_intersection(one.begin(), one.end(), other.begin(), other.end(),
                        std::back_inserter(both));
  return !both.empty();
}

// Looks only where a clash can be: at records of the same unit or its template, of the same uid,
// and at those that lack the key which would tell them apart.
class Neighbours {
 public:
  explicit Neighbours(const std::vector<RecordPtr>& records) : records_(records) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      const Match& match = records[i]->match;
      if (match.unit.empty()) {
        without_unit_.push_back(i);
        if (match.uid) uid_only_[*match.uid].push_back(i);
      } else {
        by_unit_[match.unit].push_back(i);
        if (const auto pattern = template_of(match.unit); !pattern.empty()) {
          instances_[pattern].push_back(i);
        }
      }
      if (match.uid) {
        by_uid_[*match.uid].push_back(i);
      } else {
        without_uid_.push_back(i);
      }
    }
  }

  RecordPtr first_clash(std::size_t self) const {
    const Match& match = records_[self]->match;
    if (match.unit.empty()) {
      // Against records with a unit only the uid can help: the same, or none.
      if (auto found = search(self, group(by_uid_, *match.uid))) return found;
      return search(self, &without_uid_);
    }
    if (auto found = search(self, group(by_unit_, match.unit))) return found;
    if (auto found = search(self, group(by_unit_, template_of(match.unit)))) return found;
    if (auto found = search(self, group(instances_, match.unit))) return found;
    // Records with another unit are apart: only those without one are left.
    return match.uid ? search(self, group(uid_only_, *match.uid)) : search(self, &without_unit_);
  }

  RecordPtr sharer_of_uid(std::size_t self) const {
    for (std::size_t other : by_uid_.at(*records_[self]->match.uid)) {
      if (other != self) return records_[other];
    }
    return nullptr;
  }

 private:
  template <class Map, class Key>
  static const Indexes* group(const Map& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
  }

  RecordPtr search(std::size_t self, const Indexes* others) const {
    if (others == nullptr) return nullptr;
    for (std::size_t other : *others) {
      if (other != self && !are_apart(records_[self]->match, records_[other]->match)) {
        return records_[other];
      }
    }
    return nullptr;
  }

  const std::vector<RecordPtr>& records_;
  std::unordered_map<std::string, Indexes> by_unit_, instances_;
  std::unordered_map<uid_t, Indexes> by_uid_, uid_only_;
  Indexes without_unit_, without_uid_;
};

// What to write so that both may stay.
std::string way_apart(const Match& one, const Match& other) {
  if (one.unit.empty() != other.unit.empty()) {
    return "one names a unit and the other does not: give both a uid that differs, or both a unit";
  }
  if (!one.unit.empty()) return "give each a unit of its own";
  return "give each a uid of its own, or a unit";
}

bool needs_own_uid(const Record& record) {
  return record.tier() != Tier::baseline && record.match.unit.empty();
}

}  // namespace

bool are_apart(const Match& one, const Match& other) {
  if (!one.unit.empty() && !other.unit.empty() && units_apart(one.unit, other.unit)) return true;
  if (one.uid && other.uid && *one.uid != *other.uid) return true;
  if (!one.executable.empty() && !other.executable.empty() && !is_same_file(one, other))
    return true;
  return !one.executable_sha256.empty() && !other.executable_sha256.empty() &&
         !share_a_digest(one.executable_sha256, other.executable_sha256);
}

void remove_clashes(std::vector<RecordPtr>& records, Diagnostics& problems) {
  const Neighbours neighbours(records);
  std::vector<RecordPtr> good;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Record& record = *records[i];
    Reporter report(record.file, problems);
    if (const auto other = neighbours.first_clash(i)) {
      report.error(record.match.at,
                   "clashes with " + quoted(other->name) + " (" + other->file +
                       "): a process could match both",
                   way_apart(record.match, other->match));
    }
    if (needs_own_uid(record)) {
      if (const auto other = neighbours.sharer_of_uid(i)) {
        report.error(record.match.uid_at,
                     "an agent above baseline hangs on a uid that " + quoted(other->name) + " (" +
                         other->file + ") has too",
                     "give it a uid of its own, or match its unit");
      }
    }
    if (!report.failed()) good.push_back(records[i]);
  }
  records = std::move(good);
}

}  // namespace badged::agents
