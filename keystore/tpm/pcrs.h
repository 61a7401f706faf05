// Platform configuration registers: which there are, and their values. Public, so no session.
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <vector>

#include "keystore/quote.h"
#include "keystore/tpm/device.h"

namespace badged::keystore::tpm {

// The banks that are allocated, with their PCRs (Part 2, TPM_CAP_PCRS). Kind::refused, naming what
// there is, where the TPM lacks one of `wanted`.
Outcome<void> check_allocated(Device& device, const std::vector<PcrSelection>& wanted);

// All values of one bank's selection, PCRs ascending, as they are one command after the other:
// another program may extend between. A TPM answers at most 8 values at a time.
Outcome<std::vector<PcrValue>> read_pcrs(Device& device, const PcrSelection& wanted);

TPML_PCR_SELECTION to_tpm(const std::vector<PcrSelection>& selection);

// Did the TPM sign exactly these values? Looks at the end of the TPMS_QUOTE_INFO alone: what
// precedes it is for verifiers. Kind::refused where another selection than ours was quoted.
Outcome<bool> covers(ByteView attest, const std::vector<PcrSelection>& selection,
                     const std::vector<PcrValue>& values);

}  // namespace badged::keystore::tpm
