// All records in force: immutable, shared, replaced as a whole at reload (H29).
//
// Two records clash, and neither is served, unless some key that BOTH give differs, where
//   unit               differs: other names; a template and a name that is no instance of it;
//                      two templates of other prefixes
//   uid                differs: other numbers, whatever names were written
//   executable         differs: another file (path after links, and device and inode)
//   executable_sha256  differs: the lists share no digest
//   main_process       never tells records apart: `false` includes the main process.
// So a record by unit alone and one by uid alone clash: the unit might run as that uid.
//
// An executable matches by device and inode: the same file, through whatever mount namespace it is
// seen. It is the record's file as it was at load (ctime too, for a freed inode may come back as a
// stranger's file), or else what the record's path names now: so an upgrade does not stop an agent
// that was started after it, and where it should, executable_sha256 says so.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/agents/record.h"

namespace badged::agents {

// What systemd says about a process and its unit.
enum class MainProcess {
  yes,
  no,
  refused,  // systemd cannot be asked, or the unit lets children claim to be it: counts as no
};

// Facts in the order of their cost. Absent: not looked up yet.
struct CallerFacts {
  peers::ProcessFacts process;
  std::optional<MainProcess> main_process;
  std::string main_process_refused;         // why, in an admin's words, where it is `refused`
  std::optional<Digest> executable_digest;  // SHA-256
  std::string digest_refused;  // why the executable cannot be hashed; not empty: no digest holds
};

// The first rule of a record that a process fails, for admins alone (never for the caller).
struct Mismatch {
  std::string agent;    // the record's name; empty: no record comes near
  std::string rule;     // "unit", "uid", "executable", "main_process", "executable_sha256",
                        // "ambiguous"
  std::string message;  // "uid is 1000, the record wants 990 (invoice-bot)"
  std::string remedy;   // what would satisfy it
};

struct MatchOutcome {
  enum class Kind {
    matched,
    needs_main_process,  // ask systemd, fill in, call again
    needs_digest,        // hash the executable, fill in, call again
    no_match,
  };
  Kind kind = Kind::no_match;
  RecordPtr record;   // set iff matched
  Mismatch mismatch;  // set iff no_match; cheap: only records of this unit or uid are considered
};

// What a path names now: a regular file's id, or nothing. One stat of a path that was on this host
// at load; a parameter because tests replace files.
using FileNow = std::optional<peers::FileId> (*)(const std::string& path);
std::optional<peers::FileId> file_now(const std::string& path);

class RecordSet {
 public:
  // `records` are settled and free of clashes: load_records() is what guarantees it.
  explicit RecordSet(std::vector<RecordPtr> records);

  std::span<const RecordPtr> records() const { return records_; }  // sorted by name
  RecordPtr find(std::string_view name) const;                     // null: no such agent

  // At most one record matches. A lookup by unit and uid, independent of the number of records.
  // uid, unit and executable are checked before more is asked for, so nobody can make badged ask
  // systemd or hash a file without matching these.
  MatchOutcome match(const CallerFacts& facts, FileNow look = file_now) const;

  // For `whoami --pid`: looks at all records for the nearest one. Facts that are absent are taken
  // as not yet failed. Nothing when a record matches.
  std::optional<Mismatch> explain(const CallerFacts& facts, FileNow look = file_now) const;

  // Does any record have this uid or unit? For slots kept for listed callers.
  bool knows(const peers::ProcessFacts& process) const;
  // Whether a process's unit can matter at all.
  bool names_units() const { return !by_unit_.empty(); }

 private:
  // Calls `visit` with each record of this process's unit, and each by uid alone of its uid.
  template <class Visit>
  void each_candidate(const peers::ProcessFacts& process, Visit visit) const;

  std::vector<RecordPtr> records_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_unit_;  // templates too, as written
  std::unordered_map<uid_t, std::vector<std::size_t>> by_uid_;         // records without a unit
};

struct LoadReport {
  std::shared_ptr<const RecordSet> good;  // never null; what may be served at start
  Diagnostics problems;                   // sorted by file, line, column
  std::size_t files = 0;                  // *.toml files seen

  // At reload the caller keeps the set in force unless this holds.
  bool clean() const { return !has_errors(problems); }
};

// Reads all *.toml of a directory. Files must be regular, no links, owned by root or by this
// process's user, not writable by group or others; so must the directory. Blocks on the file
// system.
LoadReport load_directory(const std::string& directory, const TierRules& rules,
                          const Accounts& accounts);

// The same from texts, for tests and the fuzzer's friends: {file name, text}.
LoadReport load_texts(std::span<const std::pair<std::string, std::string>> files,
                      const TierRules& rules, const Accounts& accounts);

}  // namespace badged::agents
