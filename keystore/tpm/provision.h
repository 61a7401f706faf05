// A connected TPM that is ours: provisioned once, opened ever after.
#pragma once

#include <filesystem>
#include <memory>

#include "keystore/store.h"
#include "keystore/tpm/objects.h"
#include "keystore/tpm/record.h"

namespace badged::keystore::tpm {

// Used on the store's thread only. Dies with its connection.
class Machine {
 public:
  // Makes keys where `directory` holds no record; else opens those of the record and refuses any
  // other SRK, EK or key file (Kind::replaced, Kind::failed).
  static Outcome<std::unique_ptr<Machine>> open(std::unique_ptr<Device> device,
                                                const std::filesystem::path& directory);

  Device& device() { return *device_; }
  Objects& objects() { return *objects_; }
  // While the TPM answers: frees every slot that is ours.
  void close() { objects_->close(issuer_); }

  Key& attestation() { return attestation_; }
  Key& issuer() { return issuer_; }
  const std::string& seal_auth() const { return record_.seal_auth; }

  // A new P-256 signing key under the SRK, with a random auth, loaded.
  Outcome<void> create_session_key(Key& key);

  // Reads what the TPM says of itself; the issuer is certified anew.
  Outcome<Identity> identity();
  Outcome<Certification> certify_issuer() { return objects_->certify(issuer_, attestation_); }

 private:
  Machine(std::unique_ptr<Device> device, std::filesystem::path directory)
      : device_(std::move(device)), directory_(std::move(directory)) {}
  Outcome<void> provision();
  Outcome<void> reopen();
  Outcome<Device::Loaded> storage_root(bool make_it);
  Outcome<void> make_keys(const Parent& endorsement);
  Outcome<void> read_keys();
  Outcome<void> load_keys(const Parent& endorsement);

  std::unique_ptr<Device> device_;
  std::filesystem::path directory_;
  std::unique_ptr<Objects> objects_;
  Record record_;
  Key attestation_;
  Key issuer_;
  Bytes ek_certificate_;
  Bytes ek_public_area_;
};

}  // namespace badged::keystore::tpm
