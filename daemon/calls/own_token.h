// A token that somebody asks about or wants revoked: is it one of ours, and where does it stand?
#pragma once

#include <optional>
#include <string_view>

#include "attest/jose/access_token.h"
#include "daemon/calls/table.h"
#include "keystore/result.h"

namespace badged::calls {

struct OwnToken {
  attest::VerifiedToken token;
  tokens::Ledger::Token place;  // of an unexpired token of this host
};

// Nullopt for everything else: no token, another issuer's or host's, an expired one. Verified
// before anything of it is read. Errc::unavailable while no key is published that it could be
// checked with: then it may be one of ours.
Result<std::optional<OwnToken>> find_own_token(Service& service, std::string_view compact);

// The place of a token that was verified as this issuer's. Nullopt: not known here as unexpired.
std::optional<tokens::Ledger::Token> place_of(Service& service, const attest::VerifiedToken& token);

// RFC 7662 2.2: not revoked, not of an epoch before, and its session lives.
bool is_active(Service& service, const attest::VerifiedToken& token,
               const tokens::Ledger::Token& place);

// One more question of this agent within its tier's limit for proofs, each of which costs a
// signature's verification here.
bool takes_question(const Context& context);

}  // namespace badged::calls
