// The store of keys that never leave it: one interface, two real stores (TPM, software).
//
// A store owns one thread; every operation is queued to it and ends by calling its sink exactly
// once: on the store's thread, inline on the caller's when the queue refuses it, or on that of
// check_deadline(). Sinks must be quick and must not call back into the store. All members may be
// called from any thread. The queue is bounded and fair per caller (round-robin between uids): a
// full queue answers Errc::busy at once. Errors of the device are Errc::unavailable or
// Errc::changed, with the state's message and hint.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "keystore/key.h"
#include "keystore/quote.h"
#include "keystore/result.h"

namespace badged::keystore {

// What the device behind the store is doing. Each has its own message and hint (H26).
enum class Condition {
  ready,
  starting,       // provisioning or reconnecting
  missing,        // no such device, or its server is gone; retried with backoff
  no_permission,  // the device exists and we may not open it
  lockout,        // dictionary-attack lockout; needs the admin or time
  replaced,       // SRK or EK is not the one recorded at provisioning: re-enrol, never new keys
  failed,         // TPM failure mode, or answers that make no sense
  hanging,        // a command has had no answer for limits::kHang; ends with that answer
};
const char* to_string(Condition condition);  // "ready", "starting", "missing", "no-permission", ...

struct StoreState {
  Condition condition = Condition::starting;
  std::string message;  // for people; empty when ready
  std::string hint;
};

// A key of the store, as the rest of the program names it. Copyable; the store owns the key itself.
using KeyId = std::uint64_t;

struct StoredKey {
  KeyId id = 0;
  PublicKey public_key;
  Custody custody = Custody::software;
  Certification certification;  // empty members in the software store
};

// Who this host is, as recorded at provisioning. Constant once the store is ready.
struct Identity {
  PublicKey ak;          // attestation key
  Bytes ak_public_area;  // TPMT_PUBLIC; empty in the software store
  Bytes ak_name;         // TPM Name: 2 bytes of algorithm, 32 bytes of digest; empty in software
  Bytes ek_certificate;  // DER, NV padding removed; empty where the TPM has none
  // Certificates of the EK's issuers that the TPM's maker put beside it (EK Credential Profile,
  // 2.2.1.5.2), DER each, in the order of their NV indices; nobody has checked them.
  std::vector<Bytes> ek_chain;
  Bytes ek_public_area;  // TPMT_PUBLIC
  Custody custody = Custody::software;
  std::string manufacturer;  // e.g. "IBM", from TPM_PT_MANUFACTURER
  std::string firmware;      // "major.minor" as hex words
};

// Who asked: the scheduler is fair between these. uid -1 is badged itself (never refused for
// fairness, still bounded).
using Caller = std::int64_t;
constexpr Caller kOwnWork = -1;

template <class T>
using Sink = std::function<void(Result<T>)>;

class Store {
 public:
  virtual ~Store() = default;  // refuses new work, finishes the running command, joins its thread

  virtual StoreState state() const = 0;
  virtual Custody custody() const = 0;

  // Both exist once the store has been ready for the first time; Errc::unavailable before.
  virtual Result<Identity> identity() const = 0;
  virtual Result<StoredKey> issuer() const = 0;  // signs tokens of the high tier and statements

  virtual void sign(KeyId key, const Digest& digest, Caller caller, Sink<Signature> done) = 0;

  // A new P-256 signing key for a session, certified by the AK. Lives until destroy().
  virtual void create_key(Caller caller, Sink<StoredKey> done) = 0;

  // Unusable from the moment this returns (a queued sign fails with Errc::not_found); flushed at
  // the next free slot, then `flushed` (may be empty) is called.
  virtual void destroy(KeyId key, std::function<void()> flushed) = 0;

  // PCR values and the AK's quote of just these, bound to `ask.extra_data`. Several commands of the
  // TPM, each a turn of its own in the queue, so that nobody waits for more than one bank. Where
  // another program extends a PCR between reading and quoting both are repeated; Errc::busy after
  // limits::kQuoteTries. Errc::refused: what is asked for does not exist, or the store has no TPM.
  virtual void quote(QuoteAsk ask, Caller caller, Sink<Quote> done) = 0;

  // Secrets of up to 128 bytes, readable only through this store on this host. The blob is opaque,
  // versioned and may be kept in a file.
  virtual void seal(ByteView secret, Sink<Bytes> done) = 0;
  virtual void unseal(ByteView blob, Sink<Bytes> done) = 0;

  // A command to a device cannot be interrupted. Once one has run for limits::kHang this answers
  // for it and for all that is queued with Errc::unavailable, and until it ends everything is
  // refused so at once; what it then brings is nobody's, and a key is destroyed. Call each second.
  // True while the store hangs: its destructor would wait for that command.
  virtual bool check_deadline() = 0;

  // Called on the store's thread, or on that of check_deadline(), with the state at that time, and
  // then at each change. Set once, before any other call.
  virtual void on_state(std::function<void(const StoreState&)> changed) = 0;
};

struct TpmOptions {
  std::string tcti;       // e.g. "device:/dev/tpmrm0", "swtpm:path=/tmp/x/swtpm.sock"
  std::string directory;  // state_dir/keys: PEM files and the record of provisioning, mode 0700
};

// Returns at once; the store provisions or opens on its own thread, and goes on trying while the
// device is away. Keys are made only where `directory` holds no record of provisioning.
std::unique_ptr<Store> open_tpm_store(TpmOptions options);

// Development only. The configuration layer has checked that the admin accepted it.
std::unique_ptr<Store> open_software_store(std::string directory);

}  // namespace badged::keystore
