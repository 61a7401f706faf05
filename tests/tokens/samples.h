// Records, grants and sessions as the daemon would make them.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "daemon/policy/decision.h"
#include "daemon/tokens/session.h"
#include "tests/keystore/result_printer.h"

namespace badged::test {

inline agents::RecordPtr record_of(std::string name,
                                   agents::Binding binding = agents::Binding::process) {
  auto record = std::make_shared<agents::Record>();
  record->name = std::move(name);
  record->binding = binding;
  return record;
}

inline policy::Grant ledger_grant() {
  policy::Grant grant;
  grant.audience = "https://ledger.example.org/";
  grant.scope = {"invoices.read", "invoices.write"};
  grant.lifetime = std::chrono::seconds(600);
  grant.tier = agents::Tier::baseline;
  return grant;
}

inline std::shared_ptr<tokens::Session> memory_session(std::string id = "s-1") {
  auto key = keystore::MemoryKey::generate();
  REQUIRE(key);
  return std::make_shared<tokens::Session>(std::move(id), record_of("invoice-bot"),
                                           agents::Binding::process, std::move(*key),
                                           keystore::Custody::locked_memory);
}

}  // namespace badged::test
