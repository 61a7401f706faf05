// The issuers whose tokens agents of this host may act for, with their keys: immutable, replaced as
// a whole at reload (H29).
//
// load() may run on any thread; verify() on one thread at a time, which is the I/O thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/jose/subject_token.h"
#include "daemon/agents/diagnostic.h"
#include "daemon/agents/subject_issuer.h"

namespace badged::tokens {

class SubjectIssuers {
 public:
  // Reads each key set: a regular file of root or this user that others cannot write, of at most
  // kJwksBytes. One that cannot be used is an error in `problems`, and its issuer is left out.
  static std::shared_ptr<const SubjectIssuers> load(std::span<const agents::SubjectIssuer> named,
                                                    std::string_view config_file,
                                                    agents::Diagnostics& problems);

  // The key is looked for by kid among all issuers, so that nothing of the payload is read before
  // a signature holds; then iss must be that key's issuer.
  attest::Checked<attest::SubjectToken> verify(std::string_view compact, std::string_view audience,
                                               std::int64_t now) const;
  bool knows(std::string_view issuer) const;

 private:
  struct Entry {
    std::string issuer;
    std::vector<std::string> types;
    attest::TrustedKeys keys;
  };
  std::vector<Entry> entries_;
};

}  // namespace badged::tokens
