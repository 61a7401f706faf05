// A token that somebody asks about or wants revoked: is it one of ours, and where does it stand?
#pragma once

#include <optional>
#include <string_view>

#include "attest/jose/access_token.h"
#include "daemon/calls/table.h"

namespace badged::calls {

struct OwnToken {
  attest::VerifiedToken token;
  tokens::Ledger::Token place;  // of an unexpired token of this host
};

// Nullopt for everything else: no token, another issuer's or host's, an expired one. Verified
// before anything of it is read.
std::optional<OwnToken> find_own_token(Service& service, std::string_view compact);

// RFC 7662 2.2: not revoked, not of an epoch before, and its session lives.
bool is_active(Service& service, const OwnToken& own);

// One more question of this agent within its tier's limit for proofs, each of which costs a
// signature's verification here.
bool takes_question(const Context& context);

}  // namespace badged::calls
