// PEM (RFC 7468) of what `badgectl identity` prints.
#pragma once

#include <string>

#include "keystore/key.h"
#include "keystore/result.h"

namespace badged::calls {

std::string public_key_pem(const keystore::PublicKey& key);  // SubjectPublicKeyInfo
std::string certificate_pem(ByteView der);

}  // namespace badged::calls
