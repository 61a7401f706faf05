// The records of evidence (RFC 9999, JSON collection), decoded. Nothing in here has been checked:
// each is bytes that a later step verifies.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "attest/evidence/format.h"

namespace badged::attest {

class Records {
 public:
  // Refused: a record that is not [media type, base64url, indicator?], one of ours (format.h) with
  // another type or indicator, empty or beyond its bound. The logs are measured, not decoded:
  // nothing here replays them. Records that we do not know are named (unknown()) and not looked
  // into.
  static Result<Records> parse(const boost::json::object& collection);

  // Empty where there is no such record.
  const Bytes& operator[](const RecordKind& kind) const;
  bool has(const RecordKind& kind) const { return !(*this)[kind].empty(); }

  const std::vector<std::string>& unknown() const { return unknown_; }
  std::size_t event_log_size() const { return event_log_size_; }
  std::size_t ima_log_size() const { return ima_log_size_; }

 private:
  struct Record {
    std::string_view label;  // of format.h
    Bytes content;
  };
  std::vector<Record> records_;
  std::vector<std::string> unknown_;
  std::size_t event_log_size_ = 0, ima_log_size_ = 0;
};

}  // namespace badged::attest
