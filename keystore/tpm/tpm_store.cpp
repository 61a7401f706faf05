// The store on a TPM: a scheduler's thread that owns the connection and rebuilds it when it breaks.
#include <atomic>
#include <map>
#include <optional>

#include "keystore/scheduler.h"
#include "keystore/tpm/pcrs.h"
#include "keystore/tpm/provision.h"
#include "keystore/tpm/sealed.h"

namespace badged::keystore {

namespace {

using tpm::Device;
using tpm::Fault;
using tpm::Key;
using tpm::Kind;
using tpm::Machine;
using tpm::Outcome;

constexpr KeyId kIssuer = 1;

bool connection_is_gone(Kind kind) {
  return kind == Kind::lost || kind == Kind::missing;
}

// Reached only when no connection could be made: whatever else the TPM answered, it is of no use.
Condition condition_of(Kind kind) {
  switch (kind) {
    case Kind::missing:
      return Condition::missing;
    case Kind::no_permission:
      return Condition::no_permission;
    case Kind::lockout:
      return Condition::lockout;
    case Kind::replaced:
      return Condition::replaced;
    default:
      return Condition::failed;
  }
}

// One quote on its way through the queue.
struct Quoting {
  QuoteAsk ask;
  Caller caller;
  Sink<Quote> done;
  int tries = 0;
  std::vector<PcrValue> values;  // of the banks read so far in this try
};
using QuotingPtr = std::shared_ptr<Quoting>;

class TpmStore final : public Store {
 public:
  explicit TpmStore(TpmOptions options) : options_(std::move(options)) {}
  ~TpmStore() override {
    scheduler_.stop();
    if (machine_) machine_->close();
  }

  StoreState state() const override { return state_.get(); }
  Custody custody() const override { return Custody::tpm; }

  Result<Identity> identity() const override {
    const std::lock_guard lock(mutex_);
    if (!identity_) return not_ready();
    return *identity_;
  }

  Result<StoredKey> issuer() const override {
    const std::lock_guard lock(mutex_);
    if (!issuer_) return not_ready();
    return *issuer_;
  }

  void sign(KeyId key, const Digest& digest, Caller caller, Sink<Signature> done) override {
    submit<Signature>(caller, std::move(done), [this, key, digest](Machine& machine) {
      const auto found = find(machine, key);
      if (!found) return Outcome<Signature>(no_such_key());
      return machine.objects().sign(*found, digest);
    });
  }

  void create_key(Caller caller, Sink<StoredKey> done) override {
    submit<StoredKey>(
        caller, std::move(done), [this](Machine& machine) { return make(machine); },
        [this](const StoredKey& late) { drop(late.id); });
  }

  void destroy(KeyId key, std::function<void()> flushed) override {
    auto gone = take(key);
    // Also when cancelled: the thread is joined by then, and a slot may still hold the key.
    scheduler_.submit_urgent([this, gone, flushed](const Error*) {
      if (gone && machine_) machine_->objects().drop(*gone);
      if (flushed) flushed();
    });
  }

  void quote(QuoteAsk ask, Caller caller, Sink<Quote> done) override {
    auto settled = in_order(std::move(ask));
    if (!settled) return done(settled.error());
    auto quoting =
        std::make_shared<Quoting>(Quoting{std::move(*settled), caller, std::move(done), 0, {}});
    read_bank(quoting, 0);
  }

  void seal(ByteView secret, Sink<Bytes> done) override {
    submit<Bytes>(kOwnWork, std::move(done),
                  [held = share_secret(secret)](Machine& machine) -> Outcome<Bytes> {
                    auto wrapped =
                        machine.objects().create(machine.objects().srk(), tpm::sealed_template(),
                                                 machine.seal_auth(), *held);
                    if (!wrapped) return wrapped.error();
                    return tpm::to_blob(*wrapped);
                  });
  }

  void unseal(ByteView blob, Sink<Bytes> done) override {
    submit<Bytes>(kOwnWork, std::move(done),
                  [held = Bytes(blob.begin(), blob.end())](Machine& machine) -> Outcome<Bytes> {
                    auto wrapped = tpm::from_blob(held);
                    if (!wrapped) return wrapped.error();
                    return machine.objects().unseal(*wrapped, machine.seal_auth());
                  });
  }

  bool check_deadline() override {
    const Error reason =
        fail(Errc::unavailable, "use the TPM: it has not answered a command for 10 seconds",
             "if this lasts, look at the kernel's log for the TPM driver, and restart the host");
    static_assert(limits::kHang == std::chrono::seconds(10));
    const bool was_ready = state_.ready();
    if (!scheduler_.give_up_after(limits::kHang, reason)) return false;
    if (was_ready) state_.set({Condition::hanging, reason.what, reason.hint});
    return true;
  }

  void on_state(std::function<void(const StoreState&)> changed) override {
    state_.listen(std::move(changed));
    scheduler_.submit_urgent([this](const Error* cancelled) {
      if (cancelled == nullptr) state_.tell();
    });
  }

 private:
  Error not_ready() const {
    const StoreState now = state_.get();
    const std::string why = now.message.empty() ? to_string(now.condition) : now.message;
    return fail(now.condition == Condition::replaced ? Errc::changed : Errc::unavailable,
                "use the TPM: " + why, now.hint);
  }

  static Fault no_such_key() {
    return {Kind::refused, fail(Errc::not_found, "use a key of the TPM: it is gone")};
  }

  // `work` takes the Machine and returns an Outcome<T>. While the TPM is away the answer comes at
  // once.
  template <class T, class Work>
  void submit(Caller caller, Sink<T> done, Work work, std::function<void(const T&)> discard = {}) {
    if (!state_.ready()) return done(not_ready());
    enqueue<T>(
        scheduler_, caller, std::move(done),
        [this, work = std::move(work)] {
          auto result = perform<T>(work);
          settle();
          return result;
        },
        std::move(discard));
  }

  std::shared_ptr<Key> take(KeyId id) {
    const std::lock_guard lock(mutex_);
    const auto place = keys_.find(id);
    return place == keys_.end() ? nullptr : std::move(keys_.extract(place).mapped());
  }

  // The scheduler's thread, from here to the end of the class.

  // Everything asked of the TPM is asked a second time after the connection was rebuilt: signing,
  // making a key or sealing twice does no harm.
  template <class T, class Work>
  Result<T> perform(const Work& work) {
    for (int attempt = 1;; ++attempt) {
      if (!machine_ || !state_.ready()) return not_ready();
      machine_->device().allow(limits::kOperation);
      Outcome<T> outcome = work(*machine_);
      if (outcome) return std::move(*outcome);
      const Fault& fault = outcome.error();
      note(fault);
      if (!connection_is_gone(fault.kind) || attempt == 2) return fault.error;
      connect();
    }
  }

  // The answer has come after all.
  void settle() {
    if (machine_ && state_.get().condition == Condition::hanging)
      state_.set({Condition::ready, {}, {}});
  }

  void drop(KeyId id) {
    const auto gone = take(id);
    if (gone && machine_) machine_->objects().drop(*gone);
  }

  // Reads one bank in a turn of its own, then the next one, then quotes.
  void read_bank(const QuotingPtr& quoting, std::size_t bank) {
    if (bank == 0) quoting->values.clear();
    submit<std::vector<PcrValue>>(
        quoting->caller,
        [this, quoting, bank](Result<std::vector<PcrValue>> read) {
          if (!read) return quoting->done(read.error());
          quoting->values.insert(quoting->values.end(), read->begin(), read->end());
          if (bank + 1 < quoting->ask.selection.size()) return read_bank(quoting, bank + 1);
          sign_values(quoting);
        },
        [quoting, bank](Machine& machine) -> Outcome<std::vector<PcrValue>> {
          if (bank == 0 && quoting->tries == 0) {
            auto there = tpm::check_allocated(machine.device(), quoting->ask.selection);
            if (!there) return there.error();
          }
          return tpm::read_pcrs(machine.device(), quoting->ask.selection[bank]);
        });
  }

  void sign_values(const QuotingPtr& quoting) {
    submit<tpm::Statement>(
        quoting->caller,
        [this, quoting](Result<tpm::Statement> signed_now) {
          if (!signed_now) return quoting->done(signed_now.error());
          const auto covers =
              tpm::covers(signed_now->attest, quoting->ask.selection, quoting->values);
          if (!covers) return quoting->done(covers.error().error);
          if (*covers)
            return quoting->done(Quote{std::move(signed_now->attest),
                                       std::move(signed_now->signature),
                                       std::move(quoting->values)});
          if (++quoting->tries >= limits::kQuoteTries)
            return quoting->done(
                fail(Errc::busy, "quote PCRs: another program extends them again and again",
                     "try again later, or leave out PCRs that change, such as IMA's PCR 10"));
          read_bank(quoting, 0);
        },
        [quoting](Machine& machine) {
          return machine.objects().quote(machine.attestation(), quoting->ask.extra_data,
                                         tpm::to_tpm(quoting->ask.selection));
        });
  }

  // Draws the consequences of a fault, before anybody hears of it.
  void note(const Fault& fault) {
    const bool broken = connection_is_gone(fault.kind) || fault.kind == Kind::failed;
    if (broken) disconnect();
    if (fault.kind == Kind::lost) {
      state_.set({Condition::starting, "connect to the TPM anew: " + fault.error.what, {}});
      scheduler_.idle_after(reconnect_wait_);
    } else if (broken || fault.kind == Kind::lockout) {
      report(fault);
    }
  }

  void report(const Fault& fault) {
    state_.set({condition_of(fault.kind), fault.error.what, fault.error.hint});
    scheduler_.idle_after(reconnect_wait_);
  }

  void disconnect() {
    machine_.reset();
    reconnect_wait_ = limits::kFirstReconnect;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, key] : keys_) key->forget();
  }

  void connect() {
    auto device = Device::open(options_.tcti, [this](auto time) { return scheduler_.pause(time); });
    if (!device) return report(device.error());
    auto machine = Machine::open(std::move(*device), options_.directory);
    if (!machine) return report(machine.error());
    if (auto known = introduce(**machine); !known) return report(known.error());
    machine_ = std::move(*machine);
    reconnect_wait_ = limits::kFirstReconnect;
    state_.set({Condition::ready, {}, {}});
    scheduler_.idle_after(limits::kProbe);
  }

  // Once: who this host is does not change while the program runs.
  Outcome<void> introduce(Machine& machine) {
    {
      const std::lock_guard lock(mutex_);
      if (identity_) return {};
    }
    auto identity = machine.identity();
    if (!identity) return identity.error();
    auto certification = machine.certify_issuer();
    if (!certification) return certification.error();
    const std::lock_guard lock(mutex_);
    identity_ = std::move(*identity);
    issuer_ = StoredKey{kIssuer, machine.issuer().public_key, Custody::tpm, *certification};
    return {};
  }

  std::chrono::milliseconds idle() {
    const auto next = look_after();
    settle();
    return next;
  }

  std::chrono::milliseconds look_after() {
    if (machine_ && state_.ready()) {
      machine_->device().allow(limits::kOperation);
      if (auto there = machine_->objects().probe(); !there) note(there.error());
      if (machine_) return limits::kProbe;
    }
    if (machine_ && !still_locked_out()) {
      state_.set({Condition::ready, {}, {}});
      return limits::kProbe;
    }
    if (!machine_) connect();
    if (state_.ready()) return limits::kProbe;
    reconnect_wait_ = std::min(reconnect_wait_ * 2, limits::kLastReconnect);
    return reconnect_wait_;
  }

  bool still_locked_out() {
    auto permanent = machine_->device().property(TPM2_PT_PERMANENT);
    if (!permanent) note(permanent.error());
    return !permanent || (*permanent & TPMA_PERMANENT_INLOCKOUT) != 0;
  }

  // A key that is destroyed while its command runs stays whole until the command ends.
  std::shared_ptr<Key> find(Machine& machine, KeyId id) {
    if (id == kIssuer) return {std::shared_ptr<Key>(), &machine.issuer()};
    const std::lock_guard lock(mutex_);
    const auto place = keys_.find(id);
    return place == keys_.end() ? nullptr : place->second;
  }

  Outcome<StoredKey> make(Machine& machine) {
    {
      const std::lock_guard lock(mutex_);
      if (keys_.size() >= limits::kTpmSessionKeys)
        return Fault{Kind::refused,
                     fail(Errc::exhausted, "make a key in the TPM: too many sessions have one",
                          "end sessions of high-assurance agents")};
    }
    auto key = std::make_shared<Key>();
    if (auto made = machine.create_session_key(*key); !made) return made.error();
    auto certification = machine.objects().certify(*key, machine.attestation());
    if (!certification) {
      machine.objects().drop(*key);
      return certification.error();
    }
    const std::lock_guard lock(mutex_);
    const KeyId id = next_id_++;
    keys_.emplace(id, key);
    return StoredKey{id, key->public_key, Custody::tpm, std::move(*certification)};
  }

  const TpmOptions options_;
  StateBoard state_;

  mutable std::mutex mutex_;
  std::optional<Identity> identity_;
  std::optional<StoredKey> issuer_;
  std::map<KeyId, std::shared_ptr<Key>> keys_;
  KeyId next_id_ = kIssuer + 1;

  std::unique_ptr<Machine> machine_;  // of the scheduler's thread
  std::chrono::milliseconds reconnect_wait_ = limits::kFirstReconnect;

  Scheduler scheduler_{[this] { return idle(); }};  // last: its thread uses all of the above
};

}  // namespace

std::unique_ptr<Store> open_tpm_store(TpmOptions options) {
  return std::make_unique<TpmStore>(std::move(options));
}

}  // namespace badged::keystore
