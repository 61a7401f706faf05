// Development only: keys in this process's memory and in one file that root and we can read. It
// proves nothing about the host, and says so: Custody::software in every token. Same queue, same
// states, same rules as the TPM, so that one suite of tests holds for both.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <filesystem>
#include <map>
#include <optional>

#include "keystore/files.h"
#include "keystore/limits.h"
#include "keystore/memory_key.h"
#include "keystore/random.h"
#include "keystore/scheduler.h"

namespace badged::keystore {

namespace {

constexpr KeyId kIssuer = 1;
constexpr const char* kFile = "software-keys";
// The file: this line, then attestation scalar, issuer scalar and sealing key, 32 bytes each.
constexpr std::string_view kHeader = "badged-software-keys 1\n";
constexpr std::size_t kSecret = 32;

// A sealed secret: "BSS", version 1, nonce, ciphertext, tag (AES-256-GCM; SP 800-38D sizes).
constexpr std::array<std::uint8_t, 4> kBlobHeader = {'B', 'S', 'S', 1};
constexpr std::size_t kNonce = 12;
constexpr std::size_t kTag = 16;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

struct Keys {
  MemoryKey attestation;
  MemoryKey issuer;
  SharedSecret sealing;
};

Result<Keys> parse(const Bytes& content) {
  if (content.size() != kHeader.size() + 3 * kSecret ||
      as_text(content).substr(0, kHeader.size()) != kHeader)
    return fail(Errc::malformed, "read the software keys: malformed, or of another version",
                "restore state_dir/keys from a backup, or move it away to start afresh");
  const ByteView secrets = ByteView(content).subspan(kHeader.size());
  auto attestation = MemoryKey::from_scalar(secrets.first(kSecret));
  if (!attestation) return attestation.error();
  auto issuer = MemoryKey::from_scalar(secrets.subspan(kSecret, kSecret));
  if (!issuer) return issuer.error();
  return Keys{std::move(*attestation), std::move(*issuer), share_secret(secrets.last(kSecret))};
}

Result<Bytes> make_content() {
  Bytes content(kHeader.begin(), kHeader.end());
  for (int i = 0; i < 2; ++i) {
    auto key = MemoryKey::generate();
    if (!key) return key.error();
    auto scalar = key->export_scalar();
    if (!scalar) return scalar.error();
    content.insert(content.end(), (*scalar)->bytes.begin(), (*scalar)->bytes.end());
  }
  content.resize(content.size() + kSecret);
  fill_private_random(std::span(content).last(kSecret));
  return content;
}

Result<Keys> open_keys(const std::filesystem::path& directory) {
  if (auto prepared = prepare_private_directory(directory); !prepared) return prepared.error();
  auto content = read_private_file(directory / kFile, limits::kKeyFile);
  if (!content) return content.error();
  if (!*content) {
    auto made = make_content();
    if (!made) return made.error();
    if (auto kept = write_private_file(directory / kFile, *made); !kept) return kept.error();
    *content = std::move(*made);
  }
  auto keys = parse(**content);
  OPENSSL_cleanse((*content)->data(), (*content)->size());
  return keys;
}

Result<Bytes> encrypt(const Bytes& key, const Bytes& secret) {
  Bytes blob(kBlobHeader.begin(), kBlobHeader.end());
  blob.resize(kBlobHeader.size() + kNonce + secret.size() + kTag);
  std::uint8_t* nonce = blob.data() + kBlobHeader.size();
  std::uint8_t* out = nonce + kNonce;
  fill_random({nonce, kNonce});
  const Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int size = 0;
  const bool done =
      cipher && EVP_EncryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), key.data(), nonce, nullptr) &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &size, kBlobHeader.data(), kBlobHeader.size()) &&
      EVP_EncryptUpdate(cipher.get(), out, &size, secret.data(), static_cast<int>(secret.size())) &&
      EVP_EncryptFinal_ex(cipher.get(), out + size, &size) &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kTag, out + secret.size());
  if (!done) return fail(Errc::internal, "seal a secret: OpenSSL failed");
  return blob;
}

Result<Bytes> decrypt(const Bytes& key, const Bytes& blob) {
  constexpr std::size_t overhead = kBlobHeader.size() + kNonce + kTag;
  if (blob.size() < overhead || blob.size() > overhead + limits::kSealedSecret ||
      !std::equal(kBlobHeader.begin(), kBlobHeader.end(), blob.begin()))
    return fail(Errc::malformed, "read a sealed secret: not one of ours, or of another version");
  const std::uint8_t* nonce = blob.data() + kBlobHeader.size();
  const std::uint8_t* in = nonce + kNonce;
  Bytes secret(blob.size() - overhead);
  Bytes tag(blob.end() - kTag, blob.end());
  const Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int size = 0;
  const bool done =
      cipher && EVP_DecryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), key.data(), nonce, nullptr) &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &size, kBlobHeader.data(), kBlobHeader.size()) &&
      EVP_DecryptUpdate(cipher.get(), secret.data(), &size, in, static_cast<int>(secret.size())) &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kTag, tag.data()) &&
      EVP_DecryptFinal_ex(cipher.get(), secret.data() + size, &size);
  if (!done)
    return fail(Errc::refused, "unseal a secret: it was edited, or sealed by another store");
  return secret;
}

class SoftwareStore final : public Store {
 public:
  explicit SoftwareStore(std::string directory) : directory_(std::move(directory)) {}
  ~SoftwareStore() override { scheduler_.stop(); }

  StoreState state() const override { return state_.get(); }
  Custody custody() const override { return Custody::software; }

  Result<Identity> identity() const override {
    if (!state_.ready()) return not_ready();
    Identity identity;
    identity.ak = keys_->attestation.public_key();
    identity.manufacturer = "software";
    return identity;
  }

  Result<StoredKey> issuer() const override {
    if (!state_.ready()) return not_ready();
    return describe(kIssuer, keys_->issuer);
  }

  void sign(KeyId id, const Digest& digest, Caller caller, Sink<Signature> done) override {
    submit<Signature>(caller, std::move(done), [this, id, digest]() -> Result<Signature> {
      if (id == kIssuer) return keys_->issuer.sign(digest);
      const auto key = find(id);
      if (!key) return fail(Errc::not_found, "use a key of the software store: it is gone");
      return key->sign(digest);
    });
  }

  void create_key(Caller caller, Sink<StoredKey> done) override {
    submit<StoredKey>(caller, std::move(done), [this] { return make(); });
  }

  void destroy(KeyId id, std::function<void()> flushed) override {
    std::shared_ptr<MemoryKey> gone;
    {
      const std::lock_guard lock(mutex_);
      const auto place = sessions_.find(id);
      if (place != sessions_.end()) gone = std::move(sessions_.extract(place).mapped());
    }
    scheduler_.submit_urgent([gone = std::move(gone), flushed](const Error*) mutable {
      gone.reset();
      if (flushed) flushed();
    });
  }

  void quote(QuoteAsk, Caller, Sink<Quote> done) override {
    done(fail(Errc::refused,
              "quote PCRs: keys are in software, and without a TPM there is nothing "
              "that could be proved",
              "set keystore.kind = \"tpm\""));
  }

  void seal(ByteView secret, Sink<Bytes> done) override {
    submit<Bytes>(kOwnWork, std::move(done),
                  [this, held = share_secret(secret)]() -> Result<Bytes> {
                    if (held->size() > limits::kSealedSecret)
                      return fail(Errc::refused, "seal a secret: it is longer than 128 bytes");
                    return encrypt(*keys_->sealing, *held);
                  });
  }

  void unseal(ByteView blob, Sink<Bytes> done) override {
    submit<Bytes>(kOwnWork, std::move(done), [this, held = Bytes(blob.begin(), blob.end())] {
      return decrypt(*keys_->sealing, held);
    });
  }

  bool check_deadline() override { return false; }  // nothing here waits for a device

  void on_state(std::function<void(const StoreState&)> changed) override {
    state_.listen(std::move(changed));
    scheduler_.submit_urgent([this](const Error* cancelled) {
      if (cancelled == nullptr) state_.tell();
    });
  }

 private:
  static StoredKey describe(KeyId id, const MemoryKey& key) {
    return StoredKey{id, key.public_key(), Custody::software, {}};
  }

  Error not_ready() const {
    const StoreState now = state_.get();
    return fail(Errc::unavailable, "use the software store: " + now.message, now.hint);
  }

  template <class T, class Work>
  void submit(Caller caller, Sink<T> done, Work work) {
    if (!state_.ready()) return done(not_ready());
    enqueue<T>(scheduler_, caller, std::move(done), std::move(work));
  }

  // The scheduler's thread. Opens the file once; while that fails, it tries again.
  std::chrono::milliseconds idle() {
    if (keys_) return std::chrono::hours(1);
    auto keys = open_keys(directory_);
    if (!keys) {
      state_.set({Condition::failed, keys.error().what, keys.error().hint});
      return limits::kLastReconnect;
    }
    keys_.emplace(std::move(*keys));
    state_.set({Condition::ready, {}, {}});
    return std::chrono::hours(1);
  }

  std::shared_ptr<MemoryKey> find(KeyId id) {
    const std::lock_guard lock(mutex_);
    const auto place = sessions_.find(id);
    return place == sessions_.end() ? nullptr : place->second;
  }

  Result<StoredKey> make() {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= limits::kSoftwareSessionKeys)
      return fail(Errc::exhausted, "make a key: too many sessions have one", "end sessions");
    auto key = MemoryKey::generate();
    if (!key) return key.error();
    const KeyId id = next_id_++;
    const auto kept = sessions_.emplace(id, std::make_shared<MemoryKey>(std::move(*key)));
    return describe(id, *kept.first->second);
  }

  const std::filesystem::path directory_;
  StateBoard state_;
  std::optional<Keys> keys_;  // set before the state is ready, then never again

  std::mutex mutex_;
  std::map<KeyId, std::shared_ptr<MemoryKey>> sessions_;
  KeyId next_id_ = kIssuer + 1;

  Scheduler scheduler_{[this] { return idle(); }};  // last: its thread uses all of the above
};

}  // namespace

std::unique_ptr<Store> open_software_store(std::string directory) {
  return std::make_unique<SoftwareStore>(std::move(directory));
}

}  // namespace badged::keystore
