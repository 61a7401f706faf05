// A signed head: the store's issuer key (the TPM's) says how far the chain had come, in a line of
// the chain itself, so that an archived copy carries its own witnesses.
//
// The line has `signed_seq`, `signed_hash` and `jws`: a compact JWS (typ badged-audit-head+jwt)
// over
// {"iss","seq","hash","iat"}. It follows the line that it names, or some lines later.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "attest/jose/jwk.h"
#include "daemon/audit/line.h"

namespace badged::audit {

// The JWS up to its signature: append it with attest::append_signature.
std::string checkpoint_signing_input(std::string_view issuer, std::string_view key_thumbprint,
                                     const ChainLink& head, std::int64_t now);

Entry checkpoint_entry(const ChainLink& head, std::string_view jws);

// The hash of the line with this seq, where the reader still has it.
using HashOf = std::function<std::optional<Digest>(std::uint64_t seq)>;

// Checks the signature of a checkpoint line, and that the line it names is the one that stands in
// the file. Errc::not_found: its key is not among `keys`.
Result<void> check_checkpoint(std::string_view line, const HashOf& hash_of,
                              const attest::Jwks& keys);

}  // namespace badged::audit
