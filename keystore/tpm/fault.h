// What a TPM, or the stack in front of it, answered when it was not success.
//
// A Fault is an Error for people plus a Kind that says what the store does about it.
#pragma once

#include <tss2/tss2_common.h>

#include "keystore/result.h"

namespace badged::keystore::tpm {

enum class Kind {
  refused,        // this operation alone: the answer to the caller
  again,          // the TPM asked to be asked again, and the time for that is over
  lost,           // sessions or loaded keys are gone, or an answer was forged: connect anew, repeat
  missing,        // no such device, nobody answers, or the connection broke: the same
  no_permission,  // the device exists and may not be opened
  lockout,        // dictionary-attack lockout
  replaced,       // not the TPM, or not the hierarchies, of provisioning
  failed,         // failure mode, or something an admin has to mend
};

struct Fault {
  Kind kind = Kind::refused;
  Error error;
};

template <class T>
using Outcome = boost::system::result<T, Fault>;

[[noreturn]] inline void throw_exception_from_error(const Fault& fault,
                                                    const boost::source_location&) {
  throw ErrorException(fault.error);
}

// TPM 2.0 Part 2, 6.6 (response codes), and the stack's own (tss2_common.h).
Kind classify(TSS2_RC rc);

// `doing` is a verb phrase: "sign". The text of the code comes from the stack's tables.
Fault fault(TSS2_RC rc, const char* doing);
Fault fault(Kind kind, std::string what, std::string hint = {});

}  // namespace badged::keystore::tpm
