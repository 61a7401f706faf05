#include "keystore/tpm/pcrs.h"

#include <tss2/tss2_esys.h>

#include <algorithm>

#include "keystore/sha256.h"

namespace badged::keystore::tpm {

namespace {

// Part 2, 10.9.7: what one TPML_DIGEST holds, so what one TPM2_PCR_Read answers.
constexpr std::size_t kAtOnce = 8;

TPMS_PCR_SELECTION one_bank(const PcrSelection& selection) {
  TPMS_PCR_SELECTION out{};
  out.hash = static_cast<TPMI_ALG_HASH>(selection.bank);
  out.sizeofSelect = kPcrs / 8;
  for (int octet = 0; octet < out.sizeofSelect; ++octet)
    out.pcrSelect[octet] = static_cast<BYTE>(selection.pcrs >> (8 * octet));
  return out;
}

std::uint32_t bits_of(const TPMS_PCR_SELECTION& selection) {
  std::uint32_t bits = 0;
  for (std::uint32_t octet = 0; octet < kPcrs / 8 && octet < selection.sizeofSelect; ++octet)
    bits |= std::uint32_t{selection.pcrSelect[octet]} << (8 * octet);
  return bits;
}

std::uint32_t first_of(std::uint32_t pcrs, std::size_t count) {
  std::uint32_t taken = 0;
  for (; count > 0 && pcrs != 0; --count) {
    const std::uint32_t lowest = pcrs & (~pcrs + 1);
    taken |= lowest;
    pcrs &= ~lowest;
  }
  return taken;
}

struct PcrsRead {
  std::uint32_t pcrs = 0;
  std::vector<PcrValue> values;
};

Fault senseless() {
  return fault(Kind::failed, "read PCRs: the TPM's answer makes no sense");
}

Outcome<PcrsRead> read_some(Device& device, const PcrSelection& wanted) {
  const TPML_PCR_SELECTION in = to_tpm({wanted});
  Owned<TPML_PCR_SELECTION> out;
  Owned<TPML_DIGEST> digests;
  auto done = device.run("read PCRs", [&](ESYS_CONTEXT* esys) {
    TPML_PCR_SELECTION* raw_out = nullptr;
    TPML_DIGEST* raw_digests = nullptr;
    UINT32 counter = 0;
    const TSS2_RC rc = Esys_PCR_Read(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &in, &counter,
                                     &raw_out, &raw_digests);
    out.reset(raw_out);
    digests.reset(raw_digests);
    return rc;
  });
  if (!done) return done.error();
  PcrsRead read;
  if (out->count != 1 || out->pcrSelections[0].hash != in.pcrSelections[0].hash) return senseless();
  read.pcrs = bits_of(out->pcrSelections[0]);
  if (read.pcrs == 0 || (read.pcrs & ~wanted.pcrs) != 0) return senseless();
  std::size_t next = 0;
  for (std::uint32_t pcr = 0; pcr < kPcrs; ++pcr) {
    if ((read.pcrs >> pcr & 1) == 0) continue;
    if (next >= std::min<std::size_t>(digests->count, kAtOnce)) return senseless();
    const TPM2B_DIGEST& value = digests->digests[next++];
    if (value.size != digest_size(wanted.bank)) return senseless();
    read.values.push_back({wanted.bank, pcr, Bytes(value.buffer, value.buffer + value.size)});
  }
  if (next != digests->count) return senseless();
  return read;
}

std::string names(const std::vector<PcrSelection>& banks) {
  std::string text;
  for (const auto& bank : banks)
    if (bank.pcrs != 0) text += std::string(text.empty() ? "" : ", ") + to_string(bank.bank);
  return text;
}

Outcome<std::vector<PcrSelection>> allocated(Device& device) {
  Owned<TPMS_CAPABILITY_DATA> data;
  auto done = device.run("list the PCR banks", [&](ESYS_CONTEXT* esys) {
    TPMI_YES_NO more = 0;
    TPMS_CAPABILITY_DATA* raw = nullptr;
    const TSS2_RC rc = Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                          TPM2_CAP_PCRS, 0, 1, &more, &raw);
    data.reset(raw);
    return rc;
  });
  if (!done) return done.error();
  std::vector<PcrSelection> banks;
  const auto& list = data->data.assignedPCR;
  for (UINT32 i = 0; i < std::min<UINT32>(list.count, TPM2_NUM_PCR_BANKS); ++i) {
    const Bank bank{list.pcrSelections[i].hash};
    if (digest_size(bank) != 0) banks.push_back({bank, bits_of(list.pcrSelections[i])});
  }
  return banks;
}

}  // namespace

Outcome<void> check_allocated(Device& device, const std::vector<PcrSelection>& wanted) {
  auto banks = allocated(device);
  if (!banks) return banks.error();
  for (const auto& want : wanted) {
    const auto has = std::find_if(banks->begin(), banks->end(),
                                  [&](const PcrSelection& bank) { return bank.bank == want.bank; });
    if (has != banks->end() && (want.pcrs & ~has->pcrs) == 0) continue;
    const bool lacks_bank = has == banks->end() || has->pcrs == 0;
    return fault(Kind::refused,
                 std::string("quote PCRs: this TPM has ") +
                     (lacks_bank ? "no bank " : "not all of ") + to_string(want.bank),
                 "it has " + names(*banks));
  }
  return {};
}

Outcome<std::vector<PcrValue>> read_pcrs(Device& device, const PcrSelection& wanted) {
  std::vector<PcrValue> values;
  std::uint32_t left = wanted.pcrs;
  while (left != 0) {
    auto read = read_some(device, {wanted.bank, first_of(left, kAtOnce)});
    if (!read) return read.error();
    left &= ~read->pcrs;
    values.insert(values.end(), read->values.begin(), read->values.end());
  }
  // A TPM may leave out a low PCR and answer a higher one first.
  std::sort(values.begin(), values.end(),
            [](const PcrValue& a, const PcrValue& b) { return a.pcr < b.pcr; });
  return values;
}

TPML_PCR_SELECTION to_tpm(const std::vector<PcrSelection>& selection) {
  TPML_PCR_SELECTION out{};
  for (const auto& each : selection)
    if (out.count < TPM2_NUM_PCR_BANKS) out.pcrSelections[out.count++] = one_bank(each);
  return out;
}

Outcome<bool> covers(ByteView attest, const std::vector<PcrSelection>& selection,
                     const std::vector<PcrValue>& values) {
  Bytes hashed;
  for (const auto& value : values)
    hashed.insert(hashed.end(), value.value.begin(), value.value.end());
  const Digest digest = sha256(hashed);
  // Part 2, 10.12.1 TPMS_QUOTE_INFO: the selection, then the digest by the AK's hash, is the end.
  const Bytes selected = marshal(to_tpm(selection));
  constexpr std::size_t kDigest = 2 + std::tuple_size_v<Digest>;
  if (attest.size() < selected.size() + kDigest) return senseless();
  const ByteView tail = attest.last(kDigest);
  const ByteView before = attest.last(kDigest + selected.size()).first(selected.size());
  if (!std::equal(selected.begin(), selected.end(), before.begin()))
    return fault(Kind::refused,
                 "quote PCRs: the TPM quoted another selection than it was asked for");
  return tail[0] == 0 && tail[1] == digest.size() &&
         std::equal(digest.begin(), digest.end(), tail.begin() + 2);
}

}  // namespace badged::keystore::tpm
