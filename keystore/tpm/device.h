// One connection to one TPM: the ESAPI context, its retries, and what is left in it by others.
//
// Used on the store's thread only. After a Fault of kind `lost` or `missing` the connection is of
// no more use: destroy it and open another.
#pragma once

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tcti.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "keystore/limits.h"
#include "keystore/tpm/fault.h"
#include "keystore/tpm/marshal.h"

namespace badged::keystore::tpm {

// Waits; false when the store is stopping.
using Pause = std::function<bool(std::chrono::milliseconds)>;

class Device {
 public:
  // Connects, starts the TPM up where nothing else does, and frees the slots that a killed program
  // left behind: without a resource manager the TPM is ours alone.
  static Outcome<std::unique_ptr<Device>> open(const std::string& tcti, Pause pause);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  ESYS_CONTEXT* esys() const { return esys_; }

  // Starts the time that the commands of one operation may spend on waiting for the TPM.
  void allow(std::chrono::milliseconds budget);

  // Runs one command, again after a growing pause while the TPM asks for that. `command` takes the
  // ESYS_CONTEXT* and returns a TSS2_RC.
  template <class Command>
  Outcome<void> run(const char* doing, Command command) {
    for (auto wait = limits::kFirstBackoff;; wait *= 2) {
      const TSS2_RC rc = command(esys_);
      if (rc == TSS2_RC_SUCCESS) return {};
      if (classify(rc) != Kind::again || !wait_to_retry(wait)) return fault(rc, doing);
    }
  }

  // Handles of the range that `first` starts, at most 254 of them.
  Outcome<std::vector<TPM2_HANDLE>> handles(TPM2_HANDLE first);
  Outcome<bool> exists(TPM2_HANDLE handle);
  Outcome<UINT32> property(TPM2_PT which);

  // A persistent object or NV index, its Name computed by us from its public area.
  struct Loaded {
    ESYS_TR handle = ESYS_TR_NONE;
    TPM2B_PUBLIC area{};
    Bytes name;
  };
  Outcome<Loaded> persistent(TPM2_HANDLE handle);
  Outcome<Bytes> read_nv(TPM2_HANDLE index);

  // Flushes and forgets; errors are of no interest: the next open cleans up.
  void flush(ESYS_TR handle);

 private:
  Device(TSS2_TCTI_CONTEXT* tcti, bool shared, Pause pause);
  Outcome<void> first_contact();
  Outcome<void> flush_leftovers();
  Outcome<void> flush_range(TPM2_HANDLE first);
  bool wait_to_retry(std::chrono::milliseconds wait);

  TSS2_TCTI_CONTEXT* tcti_;
  ESYS_CONTEXT* esys_ = nullptr;
  bool shared_;  // a resource manager stands in between
  Pause pause_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace badged::keystore::tpm
