// Makes TPM statements for tests: a key of ours plays the attestation key and signs whatever a test
// invents.
#pragma once

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "attest/tpm/certify.h"
#include "attest/tpm/pcr_values.h"
#include "tests/attest/maker.h"

namespace badged::test {

inline Bytes vector_file(const std::string& name) {
  std::ifstream in(BADGED_VECTORS "/tpm/" + name, std::ios::binary);
  if (!in) throw std::runtime_error("no vector " + name);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline keystore::Certification statement(const std::string& key, const std::string& name) {
  return {vector_file(key + ".public"), vector_file(name + ".attest"),
          vector_file(name + ".signature")};
}

inline void append(Bytes& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
inline void append(Bytes& out, ByteView content) {
  out.insert(out.end(), content.begin(), content.end());
}
inline void append_sized(Bytes& out, ByteView content) {
  append(out, content.size(), 2);
  append(out, content);
}

// The attestation, signed again by a key of ours that plays the AK.
struct Resigner {
  keystore::MemoryKey key = new_key();
  attest::tpm::AttestationKey ak = attest::tpm::AttestationKey::from_key(key.public_key()).value();

  Bytes sign(const Bytes& message, std::uint8_t hash = 0x0B) const {
    const auto raw = key.sign(keystore::sha256(message)).value();
    Bytes out{0x00, 0x18, 0x00, hash};
    append_sized(out, ByteView(raw).first(32));
    append_sized(out, ByteView(raw).last(32));
    return out;
  }
  keystore::Certification resign(keystore::Certification made) const {
    made.signature = sign(made.attest);
    return made;
  }
};

// A TPMS_ATTEST of a quote; change what you like, then make().
struct QuoteMaker {
  std::uint32_t magic = attest::tpm::kGeneratedValue;
  std::uint16_t type = 0x8018;
  Bytes signer = Bytes(34, 0xAA);
  Bytes extra_data{0x00, 0x11, 0x22, 0x33};
  std::uint64_t clock = 1000;
  std::uint32_t reset_count = 5, restart_count = 2;
  std::uint8_t safe = 1;
  std::uint64_t firmware = 7;
  std::vector<attest::tpm::PcrSelection> selections{{attest::tpm::Alg::sha256, 0b10000011}};
  Bytes digest = Bytes(32, 0);

  // SHA-256 over the values that `pcrs` gives, in the order of the selections.
  QuoteMaker& over(const std::string& pcrs) {
    const auto values = attest::tpm::PcrValues::parse(pcrs).value();
    Bytes message;
    for (const auto& selection : selections)
      for (unsigned pcr = 0; pcr < 24; ++pcr)
        if ((selection.pcrs >> pcr & 1) == 1)
          append(message, values.find(selection.hash, pcr)->digest());
    const auto sum = keystore::sha256(message);
    digest.assign(sum.begin(), sum.end());
    return *this;
  }

  Bytes make() const {
    Bytes out;
    append(out, magic, 4);
    append(out, type, 2);
    append_sized(out, signer);
    append_sized(out, extra_data);
    append(out, clock, 8);
    append(out, reset_count, 4);
    append(out, restart_count, 4);
    append(out, safe, 1);
    append(out, firmware, 8);
    append(out, selections.size(), 4);
    for (const auto& selection : selections) {
      append(out, static_cast<std::uint16_t>(selection.hash), 2);
      append(out, 3, 1);
      for (int i = 0; i < 3; ++i)
        out.push_back(static_cast<std::uint8_t>(selection.pcrs >> (8 * i)));
    }
    append_sized(out, digest);
    return out;
  }
};

}  // namespace badged::test
