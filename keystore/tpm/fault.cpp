#include "keystore/tpm/fault.h"

#include <tss2/tss2_rc.h>
#include <tss2/tss2_tpm2_types.h>

namespace badged::keystore::tpm {

namespace {

constexpr TSS2_RC kLayer = 0xFFU << TSS2_RC_LAYER_SHIFT;

// Format-zero codes are whole; format-one codes carry which handle, session or parameter (Part 2,
// 6.6.2): compare those without it.
Kind classify_tpm(TSS2_RC rc) {
  if ((rc & TPM2_RC_FMT1) != 0) {
    switch (rc & (TPM2_RC_FMT1 | 0x3FU)) {
      case TPM2_RC_HANDLE:     // a session or key of ours is gone, since the TPM was reset
      case TPM2_RC_AUTH_FAIL:  // the session's HMAC does not match: its keys are not the TPM's
      case TPM2_RC_BAD_AUTH:
        return Kind::lost;
      default:
        return Kind::refused;
    }
  }
  switch (rc) {
    case TPM2_RC_RETRY:
    case TPM2_RC_TESTING:
    case TPM2_RC_YIELDED:
    case TPM2_RC_NV_RATE:
    case TPM2_RC_NV_UNAVAILABLE:
    case TPM2_RC_CANCELED:
      return Kind::again;
    case TPM2_RC_LOCKOUT:
      return Kind::lockout;
    case TPM2_RC_FAILURE:
      return Kind::failed;
    case TPM2_RC_BAD_TAG:
    case TPM2_RC_INITIALIZE:
    case TPM2_RC_CONTEXT_GAP:
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_SESSION_MEMORY:
    case TPM2_RC_MEMORY:
    case TPM2_RC_SESSION_HANDLES:
    case TPM2_RC_OBJECT_HANDLES:
      return Kind::lost;
    default:
      break;
  }
  const bool reference = rc >= TPM2_RC_REFERENCE_H0 && rc <= TPM2_RC_REFERENCE_S6;
  return reference ? Kind::lost : Kind::refused;
}

const char* hint(Kind kind) {
  switch (kind) {
    case Kind::refused:
      return "";
    case Kind::again:
      return "try again later";
    case Kind::lost:
      return "if this stays, look whether another program uses the TPM";
    case Kind::missing:
      return "check keystore.tcti, that the TPM is enabled in the firmware, and that its server "
             "runs";
    case Kind::no_permission:
      return "add the user badged runs as to the group of the device (tss)";
    case Kind::lockout:
      return "wait for the recovery time or run tpm2_dictionarylockout --clear-lockout";
    case Kind::replaced:
      return "restore the TPM, or re-enrol this host: stop badged, move state_dir/keys away, start "
             "it";
    case Kind::failed:
      return "power the host off and on; replace the TPM if this stays";
  }
  return "";
}

Errc code(Kind kind) {
  switch (kind) {
    case Kind::refused:
      return Errc::refused;
    case Kind::again:
      return Errc::busy;
    case Kind::replaced:
      return Errc::changed;
    default:
      return Errc::unavailable;
  }
}

}  // namespace

Kind classify(TSS2_RC rc) {
  const TSS2_RC layer = rc & kLayer;
  // The kernel's resource manager and tabrmd answer in the TPM's name.
  if (layer == 0 || layer == TSS2_RESMGR_TPM_RC_LAYER || layer == TSS2_RESMGR_RC_LAYER)
    return classify_tpm(rc & ~kLayer);
  if (layer == TSS2_TCTI_RC_LAYER) return Kind::missing;  // the connection broke
  // ESAPI, SAPI, MU: an answer whose HMAC or shape is wrong, after which the context is dead.
  return Kind::lost;
}

Fault fault(TSS2_RC rc, const char* doing) {
  return fault(classify(rc), std::string(doing) + ": " + Tss2_RC_Decode(rc));
}

Fault fault(Kind kind, std::string what, std::string own_hint) {
  return Fault{
      kind, fail(code(kind), std::move(what), own_hint.empty() ? hint(kind) : std::move(own_hint))};
}

}  // namespace badged::keystore::tpm
