// What the TPM-only tests share: a store on a TPM, its files, and readers of TPM structures that
// are not the product's.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

#include "keystore/store.h"
#include "tests/keystore/relay.h"
#include "tests/keystore/result_printer.h"
#include "tests/keystore/support.h"
#include "tests/keystore/swtpm.h"

namespace badged::test {

struct Opened {
  std::unique_ptr<keystore::Store> store;
  StateWatch watch;
  explicit Opened(const std::string& tcti, const std::filesystem::path& keys)
      : store(keystore::open_tpm_store({tcti, keys.string()})), watch(*store) {}
};

inline std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

// A simulator, and where the keys of a store on it are kept.
struct TpmAndKeys {
  Swtpm tpm;
  TemporaryDirectory directory;
  std::filesystem::path keys = directory / "keys";
};

// Files of the keys, to see that none was made anew.
std::string all_files(const std::filesystem::path& keys);

// Something to sign, and that a key of the store signs it.
extern const Digest kDigest;
void check_signs(keystore::Store& store, const keystore::StoredKey& key);

// Runs a program and requires that it succeeds.
std::string must_run(const std::vector<std::string>& arguments, const std::string& tcti = {},
                     const std::filesystem::path& directory = {});

// The string member `name` of the flat JSON that provisioning writes.
std::string json_member(const std::string& json, const std::string& name);

// SubjectPublicKeyInfo of a P-256 point as PEM, written by hand (RFC 5480).
void write_public_pem(const std::filesystem::path& file, const keystore::PublicKey& key);

// The certified Name in a TPMS_ATTEST of type CERTIFY (Part 2, 10.12.8); empty when it is not one.
Bytes certified_name(const Bytes& attest);
// TPMT_SIGNATURE, ECDSA with SHA-256, to r || s.
Signature fixed_signature(const Bytes& tpmt_signature);

}  // namespace badged::test
