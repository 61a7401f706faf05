// Qualified Names: where in its TPM a key sits (TPM 2.0 Part 1, 16.4). A restricted key's
// attestations carry its own as qualifiedSigner, so a verifier that knows the ancestors' public
// areas can recompute it.
#pragma once

#include <optional>
#include <string_view>

#include "attest/tpm/structures.h"

namespace badged::attest::tpm {

// TPM_RH (Part 2, 7.4).
enum class Hierarchy : std::uint32_t {
  owner = 0x40000001,
  null = 0x40000007,
  endorsement = 0x4000000B,
  platform = 0x4000000C,
};
std::string_view to_string(Hierarchy hierarchy);

// Names are as compute_name makes them. Each gives nameAlg of `name` and the digest over parent and
// Name.
Result<Bytes> qualified_name_of_primary(Hierarchy hierarchy, const Bytes& name);
Result<Bytes> qualified_name_of_child(const Bytes& parent_qualified_name, const Bytes& name);

// The hierarchy of which a key of this Name and this qualified Name is a primary, if any.
std::optional<Hierarchy> primary_in(const Bytes& name, const Bytes& qualified_name);

}  // namespace badged::attest::tpm
