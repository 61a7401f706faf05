// What a verification found, check by check: every check with the value it saw and, where that is
// not plain, why. What was not checked is named, never implied.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attest/reason.h"

namespace badged::attest {

struct Finding {
  enum class Result { passed, warning, failed };
  std::string_view check;  // a literal: stable names, docs/verifier-guide.md lists them
  Result result = Result::passed;
  std::string value;
  std::string reason;  // of a warning or a failure
};

struct NotChecked {
  std::string check;
  std::string reason;
};

class Findings {
 public:
  void pass(std::string_view check, std::string value) {
    done_.push_back({check, Finding::Result::passed, std::move(value), {}});
  }
  void warn(std::string_view check, std::string value, std::string reason) {
    done_.push_back({check, Finding::Result::warning, std::move(value), std::move(reason)});
  }
  // Notes the failure and hands it on: `return findings.fail("nonce", reject(…))`.
  Rejection fail(std::string_view check, Rejection rejection, std::string value = {}) {
    done_.push_back({check, Finding::Result::failed, std::move(value), rejection.what});
    return rejection;
  }
  void skip(std::string check, std::string reason) {
    skipped_.push_back({std::move(check), std::move(reason)});
  }

  const std::vector<Finding>& done() const { return done_; }
  const std::vector<NotChecked>& not_checked() const { return skipped_; }
  bool warned() const {
    for (const auto& finding : done_)
      if (finding.result == Finding::Result::warning) return true;
    return false;
  }

 private:
  std::vector<Finding> done_;
  std::vector<NotChecked> skipped_;
};

}  // namespace badged::attest
