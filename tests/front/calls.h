// Calls of every kind that the codec knows, shaped as the daemon's are.
#pragma once

#include <array>

#include "daemon/front/request.h"

namespace badged::test {

using front::BodyKind;
using front::CallShape;
using front::FieldShape;
using front::Method;
using front::Socket;

inline constexpr std::array kTokenFields{
    FieldShape{"grant_type", true},      FieldShape{"audience", false, true},
    FieldShape{"resource", false, true}, FieldShape{"scope"},
    FieldShape{"authorization_details"}, FieldShape{"token_type"},
};
inline constexpr std::array kProofFields{FieldShape{"method", true}, FieldShape{"url", true},
                                         FieldShape{"access_token", true}, FieldShape{"nonce"}};
inline constexpr std::array kPidField{FieldShape{"pid", true}};
inline constexpr std::array kNameField{FieldShape{"name", true}};
inline constexpr std::array kTailFields{FieldShape{"since"}, FieldShape{"limit"}};

inline constexpr std::array kEvidenceFields{FieldShape{"challenge", true},
                                            FieldShape{"audience", true},
                                            FieldShape{.name = "pcrs", .object = true}};

enum Call : std::size_t {
  token,
  proof,
  whoami,
  jwks,
  whoami_of,
  agent,
  reload,
  audit_tail,
  evidence
};
inline constexpr std::array kCalls{
    CallShape{Method::post, "/v1/token", Socket::agent, BodyKind::form, kTokenFields},
    CallShape{Method::post, "/v1/proof", Socket::agent, BodyKind::json, kProofFields},
    CallShape{Method::get, "/v1/whoami", Socket::agent, BodyKind::none, {}},
    CallShape{Method::get, "/v1/jwks", Socket::both, BodyKind::none, {}},
    CallShape{Method::get, "/v1/whoami", Socket::admin, BodyKind::query, kPidField},
    CallShape{Method::get, "/v1/agents/", Socket::admin, BodyKind::none, kNameField},
    CallShape{Method::post, "/v1/reload", Socket::admin, BodyKind::none, {}},
    CallShape{Method::get, "/v1/audit", Socket::admin, BodyKind::query, kTailFields},
    CallShape{Method::post, "/v1/evidence", Socket::both, BodyKind::json, kEvidenceFields},
};

}  // namespace badged::test
