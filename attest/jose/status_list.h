// Token Status List (draft-ietf-oauth-status-list-12, JWT form): one bit for each token, in a list
// that the issuer signs, and the claim that says which bit is a token's.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "attest/jose/jws.h"

namespace badged::attest {

// Made and checked as this version of the draft has it.
constexpr std::string_view kStatusListDraft = "draft-ietf-oauth-status-list-12";

constexpr JwsUse kStatusListUse{
    "status list", "statuslist+jwt", false, {.bytes = kStatusJwsBytes}, kStatusJwsBytes};

// 6.1: where a token's status stands.
struct StatusReference {
  std::uint64_t index = 0;
  std::string uri;  // `sub` of the list
};

// The claim `status` of a token whose signature was verified. nullopt: the token has none.
// Reason::bad_claim where it has one that is not this.
Checked<std::optional<StatusReference>> status_reference(const boost::json::object& claims);

// A list whose signature, type and times were checked (5.1, 8.3). Bytes of it are inflated, bounded
// by kStatusListBytes, after the signature holds.
class StatusList {
 public:
  // `compact` must be signed by a key of `keys`; `issuer` is compared where the list names one.
  // Reason::not_yet_valid for an iat or nbf in the future (kFutureLeeway); Reason::expired past
  // exp, or, without exp, past iat and ttl, or, without either, past kStatusListMaxAge.
  static Checked<StatusList> verify(std::string_view compact, const Jwks& keys,
                                    std::string_view issuer, std::int64_t now);

  // Good only where the list is the one that the token names and its status is VALID (0).
  // Reason::revoked for any other status; Reason::no_status for a token without a reference, with
  // another list's, or with an index beyond the end.
  Checked<void> check(const std::optional<StatusReference>& reference) const;

  const std::string& subject() const { return subject_; }
  std::int64_t issued_at() const { return issued_at_; }
  // Seconds after which a copy should be fetched again; nothing where the list does not say.
  std::optional<std::int64_t> ttl() const { return ttl_; }

 private:
  StatusList() = default;
  std::string subject_;
  std::int64_t issued_at_ = 0;
  std::optional<std::int64_t> ttl_;
  unsigned bits_ = 1;  // of one status
  Bytes statuses_;
};

// For issuers. `statuses`: one bit per token, the first in the lowest bit of the first byte (4.1).
struct StatusListClaims {
  std::string_view issuer;
  std::string_view uri;
  std::int64_t issued_at = 0;
  std::int64_t expires_at = 0;
  std::int64_t ttl = 0;
};
std::string status_list_header(std::string_view kid);
Result<std::string> status_list_payload(const StatusListClaims& claims, ByteView statuses);

// RFC 1950, inflated to at most `max_bytes`. Errc::malformed for anything but one whole stream.
// Errc::exhausted where it would become longer: decided without the memory for it.
Result<Bytes> inflate_bounded(ByteView compressed, std::size_t max_bytes);

}  // namespace badged::attest
