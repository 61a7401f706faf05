// state_dir/keys/provision.json: what this host was when its keys were made.
//
// Its existence is the proof of provisioning: it is written last, and keys are only ever made where
// there is none. Flat JSON of strings, with "version" as a number; a newer version is refused, an
// unknown member too.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "keystore/bytes.h"
#include "keystore/tpm/fault.h"

namespace badged::keystore::tpm {

struct Record {
  std::string endorsement;  // id of the template: "rsa-2048", ...
  Bytes srk_name;
  Bytes ek_name;
  Bytes ak_name;
  Bytes issuer_name;
  // Auth values: of use only together with the key files, by a process that can open the TPM.
  std::string ak_auth;
  std::string issuer_auth;
  std::string seal_auth;

  Record() = default;
  Record(Record&&) = default;
  Record& operator=(Record&&) = default;
  ~Record();  // wipes the auth values
};

std::string to_json(const Record& record);
Outcome<Record> from_json(ByteView text);

}  // namespace badged::keystore::tpm
