// Keys and sealed secrets of one connected TPM: sessions, transient slots, and each command on
// them.
//
// Slots (Part 1, 30.4): every TPM has three. The issuer stays in one. In the other two live the
// keys used last; a key is saved right after it is loaded, so making room is a flush and using it
// again a ContextLoad. A command borrows slots for its persistent parent and for what it makes:
// room is made before it is sent. Used on the store's thread only.
#pragma once

#include <list>
#include <string>

#include "keystore/tpm/device.h"

namespace badged::keystore::tpm {

// An auth value of ours: 32 hex digits of 16 random bytes, so that it never ends in 0x00 (TPMs
// strip that) and other programs can be given it as a password.
std::string new_auth();

// A key as it leaves TPM2_Create: useless without its parent.
struct Wrapped {
  TPM2B_PUBLIC area{};
  TPM2B_PRIVATE blob{};
};

// What TPM2_ContextSave gave, without the 5 kB that a TPMS_CONTEXT reserves.
struct SavedContext {
  UINT64 sequence = 0;
  TPMI_DH_SAVED handle = 0;
  TPMI_RH_HIERARCHY hierarchy = 0;
  Bytes blob;
};

// A key that can be used: kept wrapped so that a TPM reset loses nothing.
struct Key {
  Key() = default;
  ~Key();  // wipes auth
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  Bytes public_blob;   // TPM2B_PUBLIC
  Bytes private_blob;  // TPM2B_PRIVATE
  std::string auth;
  PublicKey public_key;
  // Below: of one connection; forget() when it is gone.
  SavedContext saved;
  ESYS_TR handle = ESYS_TR_NONE;
  void forget();
};

// A storage key that can have children. `by_policy`: its use needs PolicySecret(endorsement).
struct Parent {
  ESYS_TR handle = ESYS_TR_NONE;
  bool by_policy = false;
};

// What a restricted key said and signed, in TPM wire format.
struct Statement {
  Bytes attest;     // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
};

class Objects {
 public:
  // `srk`: the key whose Name was checked; salts every session. Sessions are AES-128-CFB, SHA-256.
  Objects(Device& device, ESYS_TR srk) : device_(device), srk_(srk) {}
  Outcome<void> start_sessions();

  Parent srk() const { return {srk_, false}; }

  Outcome<Wrapped> create(Parent parent, const TPM2B_PUBLIC& area, const std::string& auth,
                          ByteView secret = {});
  // Loads and saves. A `resident` key keeps its slot until the connection ends; there is one.
  Outcome<void> load(Key& key, Parent parent, bool resident = false);
  // Frees its slot; the key can be used again. Before a Key that was loaded dies, it is dropped.
  void drop(Key& key);

  // An orderly end: leaves no key and no session in slots that others need.
  void close(Key& resident);

  Outcome<Signature> sign(Key& key, const Digest& digest);
  Outcome<Certification> certify(Key& subject, Key& attestation);
  // TPM2_Quote; the selection in the order given.
  Outcome<Statement> quote(Key& attestation, const Digest& extra_data,
                           const TPML_PCR_SELECTION& selection);
  Outcome<Bytes> unseal(const Wrapped& sealed, const std::string& auth);
  // One cheap command over the session: is everything still there?
  Outcome<void> probe();

 private:
  enum class Encrypt { none, command, answer, both };
  Outcome<ESYS_TR> start_session(TPM2_SE type);
  ESYS_TR session(ESYS_TR which, Encrypt encrypt);
  Outcome<void> satisfy_endorsement_policy(ESYS_TR policy);
  template <class Command>
  Outcome<void> under(Parent parent, const char* doing, Command command);
  Outcome<ESYS_TR> load_wrapped(Parent parent, const Wrapped& wrapped);
  Outcome<void> save(Key& key);
  Outcome<void> ensure_loaded(Key& key, const Key* keep = nullptr);
  void make_room(std::size_t slots, const Key* keep = nullptr);
  Outcome<void> set_auth(ESYS_TR handle, const std::string& auth);

  Device& device_;
  ESYS_TR srk_;
  ESYS_TR first_ = ESYS_TR_NONE;
  ESYS_TR second_ = ESYS_TR_NONE;  // Certify authorizes two keys, and no session serves twice
  std::list<Key*> working_;        // used last at the back
};

}  // namespace badged::keystore::tpm
