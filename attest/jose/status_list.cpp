#include "attest/jose/status_list.h"

#include <zlib.h>

#include <algorithm>
#include <memory>

#include "attest/jose/base64url.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

constexpr std::string_view kWhere = "the status list";

std::string about(std::string_view why) {
  return std::string("check the status list: ").append(why);
}

Rejection bad(std::string_view why) {
  return reject(Reason::bad_claim, about(why));
}

Checked<std::int64_t> time_claim(const json::object& claims, std::string_view name) {
  const auto value = integer_member(claims, name, kWhere);
  if (!value) return bad(value.error().what);
  if (*value < 0 || *value > kLatestTime)
    return bad(std::string("`").append(name).append("` is no time of ours"));
  return *value;
}

struct Times {
  std::int64_t issued_at = 0;
  std::optional<std::int64_t> not_before, expires_at, ttl;
};

// 5.1: iat is required, exp and ttl are not; nbf is RFC 7519's.
Checked<Times> read_times(const json::object& claims) {
  const auto issued = time_claim(claims, "iat");
  if (!issued) return issued.error();
  const auto not_before = optional_time(claims, "nbf", kWhere),
             expires = optional_time(claims, "exp", kWhere),
             ttl = optional_time(claims, "ttl", kWhere);
  for (const auto* read : {&not_before, &expires, &ttl})
    if (!*read) return bad(read->error().what);
  if (*ttl == 0) return bad("`ttl` must be positive");
  return Times{*issued, *not_before, *expires, *ttl};
}

// A list that is not of now says nothing: not before its time; after exp; and where it has none, as
// old as none should be used.
Checked<void> check_times(const Times& times, std::int64_t now) {
  if (std::max(times.issued_at, times.not_before.value_or(0)) > now + kFutureLeeway)
    return reject(Reason::not_yet_valid, about("it is from the future (iat, nbf)"),
                  "compare the clocks of issuer and verifier");
  const auto too_old = [](std::string_view why) {
    return reject(Reason::expired, about(why), "fetch the list again");
  };
  if (times.expires_at)
    return *times.expires_at > now ? Checked<void>() : too_old("it has expired");
  const std::int64_t age = now - times.issued_at;
  if (times.ttl && age > *times.ttl) return too_old("it has no exp and is older than its ttl");
  if (!times.ttl && age > kStatusListMaxAge)
    return too_old("it has neither exp nor ttl and is older than an hour");
  return {};
}

struct Statuses {
  unsigned bits = 1;
  Bytes bytes;
};

Checked<Statuses> read_list(const json::object& claims) {
  const auto list = object_member(claims, "status_list", kWhere);
  if (!list) return bad(list.error().what);
  const auto bits = integer_member(**list, "bits", kWhere);
  if (!bits || (*bits != 1 && *bits != 2 && *bits != 4 && *bits != 8))
    return bad("`bits` must be 1, 2, 4 or 8");
  const auto lst = string_member(**list, "lst", kWhere);
  if (!lst) return bad(lst.error().what);
  const auto compressed = decode_base64url(*lst, kStatusJwsBytes);
  if (!compressed) return reject(Reason::malformed, about(compressed.error().what));
  auto bytes = inflate_bounded(*compressed, kStatusListBytes);
  if (!bytes)
    return reject(bytes.error().code == Errc::exhausted ? Reason::too_large : Reason::malformed,
                  about(bytes.error().what));
  return Statuses{static_cast<unsigned>(*bits), std::move(*bytes)};
}

}  // namespace

Checked<std::optional<StatusReference>> status_reference(const json::object& claims) {
  constexpr std::string_view kStatus = "the claim `status`";
  const auto wrong = [](const Error& error) {
    return reject(Reason::bad_claim, "check the token: " + error.what);
  };
  if (!claims.contains("status")) return std::optional<StatusReference>{};
  const auto status = object_member(claims, "status", kStatus);
  if (!status) return wrong(status.error());
  const auto list = object_member(**status, "status_list", kStatus);
  if (!list) return wrong(list.error());
  const auto index = integer_member(**list, "idx", kStatus);
  if (!index) return wrong(index.error());
  const auto uri = string_member(**list, "uri", kStatus);
  if (!uri) return wrong(uri.error());
  if (*index < 0) return wrong(fail(Errc::malformed, "`idx` is negative"));
  return std::optional<StatusReference>({static_cast<std::uint64_t>(*index), std::string(*uri)});
}

Checked<StatusList> StatusList::verify(std::string_view compact, const Jwks& keys,
                                       std::string_view issuer, std::int64_t now) {
  auto unverified = UnverifiedJws::parse(compact, kStatusListUse);
  if (!unverified) return unverified.error();
  const auto* entry = keys.find(unverified->header().kid);
  if (entry == nullptr)
    return reject(Reason::unknown_key, about("its kid names no key of the set"),
                  "fetch the issuer's key set again: keys rotate");
  const auto verified = std::move(*unverified).verify_once(entry->key);
  if (!verified) return verified.error();
  const auto& claims = verified->claims();
  const auto named = optional_string(claims, "iss", kWhere);
  if (!named) return bad(named.error().what);
  if (*named && **named != issuer)
    return reject(Reason::issuer, about("it is from another issuer"));
  const auto subject = string_member(claims, "sub", kWhere);
  if (!subject) return bad(subject.error().what);
  const auto times = read_times(claims);
  if (!times) return times.error();
  if (auto timely = check_times(*times, now); !timely) return timely.error();
  auto statuses = read_list(claims);
  if (!statuses) return statuses.error();
  StatusList list;
  list.subject_ = std::string(*subject);
  list.issued_at_ = times->issued_at;
  list.ttl_ = times->ttl;
  list.bits_ = statuses->bits;
  list.statuses_ = std::move(statuses->bytes);
  return list;
}

Checked<void> StatusList::check(const std::optional<StatusReference>& reference) const {
  const auto unknown = [](const char* why) {
    return reject(Reason::no_status, std::string("look up the token's status: ") + why);
  };
  if (!reference) return unknown("the token names no status list");
  if (reference->uri != subject_) return unknown("the token names another list than this one");
  const std::uint64_t per_byte = 8 / bits_;
  if (reference->index / per_byte >= statuses_.size())
    return unknown("its index is beyond the end of the list");
  const auto shift = static_cast<unsigned>(reference->index % per_byte) * bits_;
  const unsigned mask = (1U << bits_) - 1;
  const unsigned status = statuses_[reference->index / per_byte] >> shift & mask;
  if (status != 0)
    return reject(Reason::revoked, "check the token: its issuer has revoked it",
                  "ask for a new token");
  return {};
}

std::string status_list_header(std::string_view kid) {
  std::string out = R"({"alg":"ES256","kid":)";
  append_json_string(out, kid);
  return out += R"(,"typ":"statuslist+jwt"})";
}

Result<std::string> status_list_payload(const StatusListClaims& claims, ByteView statuses) {
  uLongf size = compressBound(static_cast<uLong>(statuses.size()));
  Bytes compressed(size);
  const int rc = compress2(compressed.data(), &size, statuses.data(),
                           static_cast<uLong>(statuses.size()), Z_BEST_COMPRESSION);
  if (rc != Z_OK) return fail(Errc::internal, "compress the status list");
  compressed.resize(size);
  std::string out = "{\"iss\":";
  append_json_string(out, claims.issuer);
  out += ",\"sub\":";
  append_json_string(out, claims.uri);
  out.append(",\"iat\":").append(std::to_string(claims.issued_at));
  out.append(",\"exp\":").append(std::to_string(claims.expires_at));
  out.append(",\"ttl\":").append(std::to_string(claims.ttl));
  out += R"(,"status_list":{"bits":1,"lst":")";
  append_base64url(out, compressed);
  return out += "\"}}";
}

Result<Bytes> inflate_bounded(ByteView compressed, std::size_t max_bytes) {
  constexpr std::size_t kStep = 64 * 1024;
  const auto malformed = [] { return fail(Errc::malformed, "inflate: not one whole zlib stream"); };
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return fail(Errc::internal, "inflate: zlib does not start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  stream.next_in = const_cast<Bytef*>(compressed.data());  // zlib reads it alone
  stream.avail_in = static_cast<uInt>(compressed.size());
  Bytes out;
  for (;;) {
    const auto before = out.size();
    // One byte beyond the bound tells a stream that just fits from one that goes on.
    const auto room = std::min(kStep, max_bytes + 1 - before);
    out.resize(before + room);
    stream.next_out = out.data() + before;
    stream.avail_out = static_cast<uInt>(room);
    const int rc = inflate(&stream, Z_NO_FLUSH);
    out.resize(before + room - stream.avail_out);
    if (out.size() > max_bytes)
      return fail(Errc::exhausted, "inflate: longer than " + std::to_string(max_bytes) + " bytes");
    if (rc == Z_STREAM_END) break;
    if (rc != Z_OK || (stream.avail_out != 0 && stream.avail_in == 0)) return malformed();
  }
  if (stream.avail_in != 0) return malformed();
  return out;
}

}  // namespace badged::attest
