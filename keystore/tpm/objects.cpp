#include "keystore/tpm/objects.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

#include "keystore/random.h"

namespace badged::keystore::tpm {

namespace {

// Wiped when it goes: holds an auth value and perhaps a secret.
struct Sensitive {
  TPM2B_SENSITIVE_CREATE value{};
  ~Sensitive() { OPENSSL_cleanse(&value, sizeof(value)); }
};

TPM2B_AUTH to_auth(const std::string& text) {
  TPM2B_AUTH auth{};
  auth.size = static_cast<UINT16>(std::min(text.size(), sizeof(auth.buffer)));
  std::memcpy(auth.buffer, text.data(), auth.size);
  return auth;
}

TPMT_SIG_SCHEME ecdsa_sha256() {
  TPMT_SIG_SCHEME scheme{};
  scheme.scheme = TPM2_ALG_ECDSA;
  scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  return scheme;
}

}  // namespace

std::string new_auth() {
  std::array<std::uint8_t, 16> random;
  fill_private_random(random);
  std::string auth = to_hex(random);
  OPENSSL_cleanse(random.data(), random.size());
  return auth;
}

Key::~Key() {
  OPENSSL_cleanse(auth.data(), auth.size());
}

void Key::forget() {
  saved = {};
  handle = ESYS_TR_NONE;
}

Outcome<ESYS_TR> Objects::start_session(TPM2_SE type) {
  make_room(1);  // the salt's key is borrowed into a slot
  TPMT_SYM_DEF aes{};
  aes.algorithm = TPM2_ALG_AES;
  aes.keyBits.aes = 128;
  aes.mode.aes = TPM2_ALG_CFB;
  ESYS_TR handle = ESYS_TR_NONE;
  auto done = device_.run("start a salted session", [&](ESYS_CONTEXT* esys) {
    return Esys_StartAuthSession(esys, srk_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 nullptr, type, &aes, TPM2_ALG_SHA256, &handle);
  });
  if (!done) return done.error();
  return handle;
}

Outcome<void> Objects::start_sessions() {
  auto first = start_session(TPM2_SE_HMAC);
  if (!first) return first.error();
  first_ = *first;
  auto second = start_session(TPM2_SE_HMAC);
  if (!second) return second.error();
  second_ = *second;
  return {};
}

ESYS_TR Objects::session(ESYS_TR which, Encrypt encrypt) {
  TPMA_SESSION attributes = TPMA_SESSION_CONTINUESESSION;
  if (encrypt == Encrypt::command || encrypt == Encrypt::both) attributes |= TPMA_SESSION_DECRYPT;
  if (encrypt == Encrypt::answer || encrypt == Encrypt::both) attributes |= TPMA_SESSION_ENCRYPT;
  // Cannot fail for a session of this context; a wrong one fails in the command itself.
  Esys_TRSess_SetAttributes(device_.esys(), which, attributes, 0xFF);
  return which;
}

// EK Credential Profile, B.3: PolicySecret with the endorsement hierarchy's (empty) auth.
Outcome<void> Objects::satisfy_endorsement_policy(ESYS_TR policy) {
  return device_.run("authorize the endorsement key", [&](ESYS_CONTEXT* esys) {
    return Esys_PolicySecret(esys, ESYS_TR_RH_ENDORSEMENT, policy, session(first_, Encrypt::none),
                             ESYS_TR_NONE, ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr,
                             nullptr);
  });
}

// Sends a command that a parent authorizes and whose parameters are encrypted both ways. `command`
// takes (esys, session 1, session 2).
template <class Command>
Outcome<void> Objects::under(Parent parent, const char* doing, Command command) {
  make_room(2);  // the parent, and what is made or loaded
  if (!parent.by_policy)
    return device_.run(doing, [&](ESYS_CONTEXT* esys) {
      return command(esys, session(first_, Encrypt::both), ESYS_TR(ESYS_TR_NONE));
    });
  auto policy = start_session(TPM2_SE_POLICY);
  if (!policy) return policy.error();
  auto done = satisfy_endorsement_policy(*policy);
  if (done)
    done = device_.run(doing, [&](ESYS_CONTEXT* esys) {
      return command(esys, session(*policy, Encrypt::none), session(first_, Encrypt::both));
    });
  device_.flush(*policy);
  return done;
}

Outcome<Wrapped> Objects::create(Parent parent, const TPM2B_PUBLIC& area, const std::string& auth,
                                 ByteView secret) {
  Sensitive sensitive;
  auto& inner = sensitive.value.sensitive;
  inner.userAuth = to_auth(auth);
  if (secret.size() > limits::kSealedSecret)
    return fault(Kind::refused, "seal a secret: it is longer than 128 bytes");
  inner.data.size = static_cast<UINT16>(secret.size());
  if (!secret.empty()) std::memcpy(inner.data.buffer, secret.data(), secret.size());
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION no_pcrs{};
  Owned<TPM2B_PRIVATE> blob;
  Owned<TPM2B_PUBLIC> made;
  auto done = under(parent, "create a key", [&](ESYS_CONTEXT* esys, ESYS_TR one, ESYS_TR two) {
    TPM2B_PRIVATE* raw_blob = nullptr;
    TPM2B_PUBLIC* raw_made = nullptr;
    const TSS2_RC rc =
        Esys_Create(esys, parent.handle, one, two, ESYS_TR_NONE, &sensitive.value, &area, &outside,
                    &no_pcrs, &raw_blob, &raw_made, nullptr, nullptr, nullptr);
    blob.reset(raw_blob);
    made.reset(raw_made);
    return rc;
  });
  if (!done) return done.error();
  return Wrapped{*made, *blob};
}

Outcome<ESYS_TR> Objects::load_wrapped(Parent parent, const Wrapped& wrapped) {
  ESYS_TR handle = ESYS_TR_NONE;
  auto done = under(parent, "load a key", [&](ESYS_CONTEXT* esys, ESYS_TR one, ESYS_TR two) {
    return Esys_Load(esys, parent.handle, one, two, ESYS_TR_NONE, &wrapped.blob, &wrapped.area,
                     &handle);
  });
  if (!done) return done.error();
  return handle;
}

Outcome<void> Objects::save(Key& key) {
  Owned<TPMS_CONTEXT> context;
  auto done = device_.run("save a key's context", [&](ESYS_CONTEXT* esys) {
    TPMS_CONTEXT* raw = nullptr;
    const TSS2_RC rc = Esys_ContextSave(esys, key.handle, &raw);
    context.reset(raw);
    return rc;
  });
  if (!done) return done;
  const auto& blob = context->contextBlob;
  key.saved = {context->sequence, context->savedHandle, context->hierarchy,
               Bytes(blob.buffer, blob.buffer + blob.size)};
  return {};
}

Outcome<void> Objects::set_auth(ESYS_TR handle, const std::string& auth) {
  TPM2B_AUTH value = to_auth(auth);
  const TSS2_RC rc = Esys_TR_SetAuth(device_.esys(), handle, &value);
  OPENSSL_cleanse(&value, sizeof(value));
  if (rc != TSS2_RC_SUCCESS) return fault(rc, "authorize a key");
  return {};
}

Outcome<void> Objects::load(Key& key, Parent parent, bool resident) {
  auto area = unmarshal_public(key.public_blob);
  if (!area) return area.error();
  auto blob = unmarshal_private(key.private_blob);
  if (!blob) return blob.error();
  auto handle = load_wrapped(parent, Wrapped{*area, *blob});
  if (!handle) return handle.error();
  key.handle = *handle;
  Outcome<void> done = set_auth(key.handle, key.auth);
  if (resident) return done;
  working_.push_back(&key);
  if (done) done = save(key);
  if (!done) drop(key);  // a key that failed may not outlive its place in our list
  return done;
}

void Objects::drop(Key& key) {
  // A key that was destroyed while the connection was rebuilt is not of this one: its handle may be
  // another key's by now.
  if (working_.remove(&key) > 0) device_.flush(key.handle);
  key.handle = ESYS_TR_NONE;
}

void Objects::close(Key& resident) {
  make_room(limits::kWorkingSlots);
  device_.flush(resident.handle);
  resident.handle = ESYS_TR_NONE;
  for (ESYS_TR* session : {&first_, &second_}) {
    device_.flush(*session);
    *session = ESYS_TR_NONE;
  }
}

// `keep` is in use by the command to come.
void Objects::make_room(std::size_t slots, const Key* keep) {
  while (working_.size() + slots > limits::kWorkingSlots) {
    const auto victim = std::find_if(working_.begin(), working_.end(),
                                     [keep](const Key* key) { return key != keep; });
    if (victim == working_.end()) return;
    drop(**victim);
  }
}

Outcome<void> Objects::ensure_loaded(Key& key, const Key* keep) {
  const auto place = std::find(working_.begin(), working_.end(), &key);
  if (place != working_.end()) working_.splice(working_.end(), working_, place);
  if (key.handle != ESYS_TR_NONE) return {};
  if (key.saved.blob.empty()) return load(key, srk());
  make_room(1, keep);
  auto context = std::make_unique<TPMS_CONTEXT>();
  context->sequence = key.saved.sequence;
  context->savedHandle = key.saved.handle;
  context->hierarchy = key.saved.hierarchy;
  context->contextBlob.size = static_cast<UINT16>(key.saved.blob.size());
  std::memcpy(context->contextBlob.buffer, key.saved.blob.data(), key.saved.blob.size());
  auto done = device_.run("bring a key back", [&](ESYS_CONTEXT* esys) {
    return Esys_ContextLoad(esys, context.get(), &key.handle);
  });
  if (!done) return done;
  working_.push_back(&key);
  return set_auth(key.handle, key.auth);
}

Outcome<Signature> Objects::sign(Key& key, const Digest& digest) {
  if (auto loaded = ensure_loaded(key); !loaded) return loaded.error();
  TPM2B_DIGEST hash{};
  hash.size = static_cast<UINT16>(digest.size());
  std::memcpy(hash.buffer, digest.data(), digest.size());
  const TPMT_SIG_SCHEME scheme = ecdsa_sha256();
  // Part 3, 20.2: the key is not restricted, so no ticket is needed.
  const TPMT_TK_HASHCHECK no_ticket{TPM2_ST_HASHCHECK, TPM2_RH_NULL, {}};
  Owned<TPMT_SIGNATURE> signature;
  auto done = device_.run("sign", [&](ESYS_CONTEXT* esys) {
    TPMT_SIGNATURE* raw = nullptr;
    const TSS2_RC rc = Esys_Sign(esys, key.handle, session(first_, Encrypt::command), ESYS_TR_NONE,
                                 ESYS_TR_NONE, &hash, &scheme, &no_ticket, &raw);
    signature.reset(raw);
    return rc;
  });
  if (!done) return done.error();
  return signature_of(*signature);
}

Outcome<Certification> Objects::certify(Key& subject, Key& attestation) {
  // The subject first: a load under the SRK needs both slots.
  if (auto loaded = ensure_loaded(subject); !loaded) return loaded.error();
  if (auto loaded = ensure_loaded(attestation, &subject); !loaded) return loaded.error();
  const TPM2B_DATA no_data{};
  const TPMT_SIG_SCHEME scheme = ecdsa_sha256();
  Owned<TPM2B_ATTEST> attest;
  Owned<TPMT_SIGNATURE> signature;
  auto done = device_.run("certify a key", [&](ESYS_CONTEXT* esys) {
    TPM2B_ATTEST* raw_attest = nullptr;
    TPMT_SIGNATURE* raw_signature = nullptr;
    const TSS2_RC rc = Esys_Certify(esys, subject.handle, attestation.handle,
                                    session(first_, Encrypt::both), session(second_, Encrypt::none),
                                    ESYS_TR_NONE, &no_data, &scheme, &raw_attest, &raw_signature);
    attest.reset(raw_attest);
    signature.reset(raw_signature);
    return rc;
  });
  if (!done) return done.error();
  auto area = unmarshal_public(subject.public_blob);
  if (!area) return area.error();
  return Certification{marshal(area->publicArea),
                       Bytes(attest->attestationData, attest->attestationData + attest->size),
                       marshal(*signature)};
}

Outcome<Statement> Objects::quote(Key& attestation, const Digest& extra_data,
                                  const TPML_PCR_SELECTION& selection) {
  if (auto loaded = ensure_loaded(attestation); !loaded) return loaded.error();
  TPM2B_DATA extra{};
  extra.size = static_cast<UINT16>(extra_data.size());
  std::memcpy(extra.buffer, extra_data.data(), extra_data.size());
  const TPMT_SIG_SCHEME scheme = ecdsa_sha256();
  Owned<TPM2B_ATTEST> attest;
  Owned<TPMT_SIGNATURE> signature;
  auto done = device_.run("quote PCRs", [&](ESYS_CONTEXT* esys) {
    TPM2B_ATTEST* raw_attest = nullptr;
    TPMT_SIGNATURE* raw_signature = nullptr;
    const TSS2_RC rc =
        Esys_Quote(esys, attestation.handle, session(first_, Encrypt::both), ESYS_TR_NONE,
                   ESYS_TR_NONE, &extra, &scheme, &selection, &raw_attest, &raw_signature);
    attest.reset(raw_attest);
    signature.reset(raw_signature);
    return rc;
  });
  if (!done) return done.error();
  return Statement{Bytes(attest->attestationData, attest->attestationData + attest->size),
                   marshal(*signature)};
}

Outcome<Bytes> Objects::unseal(const Wrapped& sealed, const std::string& auth) {
  auto handle = load_wrapped(srk(), sealed);
  if (!handle) return handle.error();
  Outcome<void> done = set_auth(*handle, auth);
  Owned<TPM2B_SENSITIVE_DATA> data;
  if (done)
    done = device_.run("unseal a secret", [&](ESYS_CONTEXT* esys) {
      TPM2B_SENSITIVE_DATA* raw = nullptr;
      const TSS2_RC rc = Esys_Unseal(esys, *handle, session(first_, Encrypt::answer), ESYS_TR_NONE,
                                     ESYS_TR_NONE, &raw);
      data.reset(raw);
      return rc;
    });
  device_.flush(*handle);
  if (!done) return done.error();
  Bytes secret(data->buffer, data->buffer + data->size);
  OPENSSL_cleanse(data.get(), sizeof(TPM2B_SENSITIVE_DATA));
  return secret;
}

Outcome<void> Objects::probe() {
  return device_.run("ask whether the TPM is there", [&](ESYS_CONTEXT* esys) {
    TPM2B_DIGEST* raw = nullptr;
    const TSS2_RC rc =
        Esys_GetRandom(esys, session(first_, Encrypt::answer), ESYS_TR_NONE, ESYS_TR_NONE, 8, &raw);
    const Owned<TPM2B_DIGEST> random(raw);
    return rc;
  });
}

}  // namespace badged::keystore::tpm
