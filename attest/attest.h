// What a program that checks what badged says includes: this header alone. Link the CMake target
// badged_attest (docs/examples/CMakeLists.txt); it needs OpenSSL 3, Boost 1.81 and zlib, no TPM and
// no TPM software. Nothing here opens a socket or starts a thread; what time it is, the caller says
// (`now`), and OpenSSL's queue of errors stays as it was. Functions are safe to call from several
// threads, each on objects of its own; an object belongs to one thread at a time.
//
//   question                                     header                 begin with
//   is this evidence good, for me and now?       evidence/appraise.h    appraise()
//   the verdict as an EAR                        evidence/result.h      attestation_result()
//   is this bare quote good?                     tpm/quote.h            VerifiedQuote::verify()
//   the attestation key that I enrolled          tpm/certify.h          AttestationKey::from_file()
//   the PCRs and values that I want to see       tpm/pcr_values.h       parse_selection()
//   is this token good?                          jose/access_token.h    TokenVerifier
//   and its proof?                               jose/dpop.h            verify_proof()
//   has it been revoked?                         jose/status_list.h     StatusList
//   was this proof seen before?                  jose/replay.h          ReplayCache
//
// What a stranger sends goes in as bytes and comes out as a type that exists for good ones alone
// (VerifiedEvidence, VerifiedQuote, VerifiedToken, VerifiedProof), or as a Rejection: a Reason of a
// closed set, what was wrong, and what to do. All other headers below attest/ are its inside.
#pragma once

#include "attest/evidence/appraise.h"
#include "attest/evidence/result.h"
#include "attest/jose/access_token.h"
#include "attest/jose/base64url.h"
#include "attest/jose/dpop.h"
#include "attest/jose/replay.h"
#include "attest/jose/status_list.h"
#include "attest/limits.h"
#include "attest/tpm/certify.h"
#include "attest/tpm/pcr_values.h"
#include "attest/tpm/quote.h"
