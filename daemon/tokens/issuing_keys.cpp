#include "daemon/tokens/issuing_keys.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <boost/json.hpp>

#include "attest/jose/base64url.h"
#include "attest/jose/jws.h"
#include "attest/jose/vouch.h"
#include "attest/json/strict.h"
#include "daemon/await.h"
#include "daemon/tokens/await_signature.h"
#include "daemon/tokens/limits.h"
#include "keystore/files.h"
#include "keystore/sha256.h"

namespace badged::tokens {
namespace {

constexpr int kFileVersion = 1;
constexpr std::size_t kMaxFile = 64 * 1024;  // three keys take 6 kB
constexpr std::size_t kMaxSealed = 4096;

using boost::asio::awaitable;

awaitable<Result<Bytes>> seal(boost::asio::io_context& io, keystore::Store& store,
                              ByteView secret) {
  co_return co_await await_answer<Result<Bytes>>(
      io, [&](Answer<Result<Bytes>> done) { store.seal(secret, std::move(done)); });
}

awaitable<Result<Bytes>> unseal(boost::asio::io_context& io, keystore::Store& store,
                                ByteView blob) {
  co_return co_await await_answer<Result<Bytes>>(
      io, [&](Answer<Result<Bytes>> done) { store.unseal(blob, std::move(done)); });
}

// Beside a software store, which keeps its own keys in a file, locked memory promises nothing.
keystore::Custody custody_of_memory_keys(const keystore::Store& store) {
  return store.custody() == keystore::Custody::software ? keystore::Custody::software
                                                        : keystore::Custody::locked_memory;
}

Result<void> read_times(const boost::json::object& entry, IssuingKey& key) {
  constexpr std::string_view where = "an issuing key";
  const auto created = attest::integer_member(entry, "created", where);
  const auto first = attest::integer_member(entry, "first_use", where);
  const auto last = attest::integer_member(entry, "last_use", where);
  const auto retire = attest::integer_member(entry, "retire", where);
  if (!created || !first || !last || !retire)
    return fail(Errc::malformed, "read the issuing keys: a time is missing");
  key.created = *created;
  key.first_use = *first;
  key.last_use = *last;
  key.retire = *retire;
  return ok();
}

Error damaged(const std::string& file, std::string why) {
  return fail(Errc::malformed, "read " + file + ": " + std::move(why),
              "restore the file from a backup, or move it aside: badged then makes a new issuing "
              "key, and tokens signed with the old one stop verifying once the JWKS is refreshed");
}

}  // namespace

std::string token_header(std::string_view kid) {
  return R"({"alg":"ES256","kid":")" + std::string(kid) + R"(","typ":"at+jwt"})";
}

IssuingKeys::IssuingKeys(boost::asio::io_context& io, keystore::Store& store, std::string file,
                         KeySchedule schedule)
    : io_(io), store_(store), file_(std::move(file)), schedule_(schedule) {}

awaitable<Result<void>> IssuingKeys::open(std::int64_t now) {
  const auto content = keystore::read_private_file(file_, kMaxFile);
  if (!content) co_return content.error();
  if (!*content) {
    auto first = co_await make(now, now);
    if (!first) co_return first.error();
    co_return keep(std::move(*first), now);
  }
  const auto document = attest::parse_strict_object(as_text(**content));
  if (!document) co_return damaged(file_, document.error().what);
  const auto version = attest::integer_member(*document, "version", "the issuing keys");
  if (!version || *version != kFileVersion)
    co_return damaged(file_, "its version is not one that this badged reads");
  const auto* list = document->if_contains("keys");
  if (list == nullptr || !list->is_array()) co_return damaged(file_, "it holds no keys");
  std::vector<IssuingKey> keys;
  for (const auto& entry : list->get_array()) {
    if (!entry.is_object()) co_return damaged(file_, "a key is not an object");
    const auto sealed = attest::string_member(entry.get_object(), "sealed", "an issuing key");
    const auto vouch = attest::string_member(entry.get_object(), "vouch", "an issuing key");
    if (!sealed || !vouch) co_return damaged(file_, "a key lacks a member");
    auto key = co_await restore(*sealed);
    if (!key) co_return key.error();
    key->vouch = std::string(*vouch);
    if (auto times = read_times(entry.get_object(), *key); !times) co_return times.error();
    keys.push_back(std::move(*key));
  }
  keys_ = std::move(keys);
  co_return ok();
}

awaitable<Result<bool>> IssuingKeys::rotate(std::int64_t now) {
  // Two cache lifetimes ahead: one that the next key must be published for, one to get it made.
  const auto ahead = 2 * schedule_.jwks_cache.count();
  if (keys_.empty() || keys_.back().last_use - ahead <= now) {
    const auto published_long_enough = now + schedule_.jwks_cache.count();
    const auto first_use = keys_.empty() ? published_long_enough
                                         : std::max(keys_.back().last_use, published_long_enough);
    auto next = co_await make(first_use, now);
    if (!next) co_return next.error();
    if (auto kept = keep(std::move(*next), now); !kept) co_return kept.error();
    co_return true;
  }
  const auto is_over = [now](const IssuingKey& key) { return key.retire <= now; };
  if (std::none_of(keys_.begin(), keys_.end(), is_over)) co_return false;
  if (auto saved = save(now); !saved) co_return saved.error();
  std::erase_if(keys_, is_over);
  co_return true;
}

Result<void> IssuingKeys::keep(IssuingKey key, std::int64_t now) {
  keys_.push_back(std::move(key));
  auto saved = save(now);
  if (!saved)
    keys_.pop_back();  // a key that a restart would forget signs nothing
  else
    std::erase_if(keys_, [now](const IssuingKey& old) { return old.retire <= now; });
  return saved;
}

const IssuingKey* IssuingKeys::current(std::int64_t now) const {
  for (const auto& key : keys_)
    if (key.first_use <= now && now < key.last_use) return &key;
  return nullptr;
}

std::vector<attest::JwksKey> IssuingKeys::published() const {
  std::vector<attest::JwksKey> keys;
  const auto custody = keystore::to_string(custody_of_memory_keys(store_));
  for (const auto& key : keys_) keys.push_back({key.kid, key.key.public_key(), custody, key.vouch});
  return keys;
}

awaitable<Result<IssuingKey>> IssuingKeys::make(std::int64_t first_use, std::int64_t now) {
  auto made = keystore::MemoryKey::generate();
  if (!made) co_return made.error();
  IssuingKey key{{}, {}, std::move(*made), {}, {}, now, first_use, 0, 0};
  key.last_use = first_use + schedule_.lifetime.count();
  key.retire = key.last_use + schedule_.max_token.count() + limits::kRetireLeeway.count();
  key.kid = attest::thumbprint(key.key.public_key());
  key.encoded_header = attest::encoded_header(token_header(key.kid));
  const auto scalar = key.key.export_scalar();
  if (!scalar) co_return scalar.error();
  auto sealed = co_await seal(io_, store_, (*scalar)->bytes);
  if (!sealed) co_return sealed.error();
  key.sealed = std::move(*sealed);
  auto vouch = co_await vouch_for(key);
  if (!vouch) co_return vouch.error();
  key.vouch = std::move(*vouch);
  co_return key;
}

awaitable<Result<IssuingKey>> IssuingKeys::restore(std::string_view sealed) {
  auto blob = attest::decode_base64url(sealed, kMaxSealed);
  if (!blob) co_return damaged(file_, blob.error().what);
  auto scalar = co_await unseal(io_, store_, *blob);
  if (!scalar) co_return scalar.error();
  auto restored = keystore::MemoryKey::from_scalar(*scalar);
  OPENSSL_cleanse(scalar->data(), scalar->size());
  if (!restored) co_return restored.error();
  IssuingKey key{{}, {}, std::move(*restored), {}, std::move(*blob), 0, 0, 0, 0};
  key.kid = attest::thumbprint(key.key.public_key());
  key.encoded_header = attest::encoded_header(token_header(key.kid));
  co_return key;
}

awaitable<Result<std::string>> IssuingKeys::vouch_for(const IssuingKey& key) {
  const auto issuer = store_.issuer();
  if (!issuer) co_return issuer.error();
  std::string statement;
  const auto custody = keystore::to_string(custody_of_memory_keys(store_));
  attest::append_signing_input(statement,
                               attest::vouch_header(attest::thumbprint(issuer->public_key)),
                               attest::vouch_payload({key.kid, custody, key.created, key.retire}));
  const auto signature = co_await await_signature(
      io_, store_, issuer->id, keystore::sha256(as_bytes(statement)), keystore::kOwnWork);
  if (!signature) co_return signature.error();
  attest::append_signature(statement, *signature);
  co_return statement;
}

Result<void> IssuingKeys::save(std::int64_t now) const {
  boost::json::array list;
  for (const auto& key : keys_) {
    if (key.retire <= now) continue;
    list.push_back({{"sealed", attest::base64url(key.sealed)},
                    {"vouch", key.vouch},
                    {"created", key.created},
                    {"first_use", key.first_use},
                    {"last_use", key.last_use},
                    {"retire", key.retire}});
  }
  const boost::json::object document{{"version", kFileVersion}, {"keys", std::move(list)}};
  return keystore::write_private_file(file_, as_bytes(boost::json::serialize(document)));
}

}  // namespace badged::tokens
