// The limit that TPM-signed tokens and evidence are measured against: a bare ESAPI loop that signs,
// or quotes PCRs 0 to 15, with one loaded P-256 key in the same kind of session as badged's (HMAC,
// salted to the storage root, AES-128-CFB).
// usage: esapi_sign TCTI SECONDS [sign|quote]     prints commands per second, one number
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

void check(TSS2_RC rc, const char* doing) {
  if (rc != TSS2_RC_SUCCESS)
    throw std::runtime_error(std::string(doing) + ": 0x" + std::to_string(rc));
}

TPM2B_PUBLIC key_template(TPMA_OBJECT attributes, bool storage) {
  TPM2B_PUBLIC key{};
  auto& area = key.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = attributes | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                          TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                          TPMA_OBJECT_NODA;
  auto& detail = area.parameters.eccDetail;
  detail.symmetric.algorithm = TPM2_ALG_NULL;
  detail.scheme.scheme = TPM2_ALG_NULL;
  if (storage) {
    detail.symmetric.algorithm = TPM2_ALG_AES;
    detail.symmetric.keyBits.aes = 128;
    detail.symmetric.mode.aes = TPM2_ALG_CFB;
  } else {
    detail.scheme.scheme = TPM2_ALG_ECDSA;
    detail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  }
  detail.curveID = TPM2_ECC_NIST_P256;
  detail.kdf.scheme = TPM2_ALG_NULL;
  return key;
}

struct Bench {
  TSS2_TCTI_CONTEXT* tcti = nullptr;
  ESYS_CONTEXT* esys = nullptr;
  ESYS_TR root = ESYS_TR_NONE;
  ESYS_TR session = ESYS_TR_NONE;
  ESYS_TR key = ESYS_TR_NONE;

  Bench(const char* where, bool quotes) {
    check(Tss2_TctiLdr_Initialize(where, &tcti), "open the TPM");
    check(Esys_Initialize(&esys, tcti, nullptr), "set up the context");
    make_root();
    start_session();
    make_key(quotes);
    check(Esys_FlushContext(esys, root), "flush the storage root");
  }

  ~Bench() {
    Esys_FlushContext(esys, key);
    Esys_FlushContext(esys, session);
    Esys_Finalize(&esys);
    Tss2_TctiLdr_Finalize(&tcti);
  }

  void make_root() {
    const TPM2B_PUBLIC area = key_template(TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT, true);
    const TPM2B_SENSITIVE_CREATE no_auth{};
    const TPM2B_DATA outside{};
    const TPML_PCR_SELECTION no_pcrs{};
    check(Esys_CreatePrimary(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                             &no_auth, &area, &outside, &no_pcrs, &root, nullptr, nullptr, nullptr,
                             nullptr),
          "create the storage root");
  }

  void start_session() {
    TPMT_SYM_DEF aes{};
    aes.algorithm = TPM2_ALG_AES;
    aes.keyBits.aes = 128;
    aes.mode.aes = TPM2_ALG_CFB;
    check(Esys_StartAuthSession(esys, root, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                nullptr, TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256, &session),
          "start the session");
    attributes(TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT);
  }

  void attributes(TPMA_SESSION encrypt) {
    check(Esys_TRSess_SetAttributes(esys, session, TPMA_SESSION_CONTINUESESSION | encrypt, 0xFF),
          "set up the session");
  }

  void make_key(bool restricted) {
    const TPM2B_PUBLIC area =
        key_template(TPMA_OBJECT_SIGN_ENCRYPT | (restricted ? TPMA_OBJECT_RESTRICTED : 0), false);
    TPM2B_SENSITIVE_CREATE with_auth{};
    with_auth.sensitive.userAuth.size = 32;
    for (BYTE& byte : with_auth.sensitive.userAuth.buffer) byte = 'a';
    const TPM2B_DATA outside{};
    const TPML_PCR_SELECTION no_pcrs{};
    TPM2B_PRIVATE* blob = nullptr;
    TPM2B_PUBLIC* made = nullptr;
    check(Esys_Create(esys, root, session, ESYS_TR_NONE, ESYS_TR_NONE, &with_auth, &area, &outside,
                      &no_pcrs, &blob, &made, nullptr, nullptr, nullptr),
          "create the key");
    const TSS2_RC rc = Esys_Load(esys, root, session, ESYS_TR_NONE, ESYS_TR_NONE, blob, made, &key);
    Esys_Free(blob);
    Esys_Free(made);
    check(rc, "load the key");
    check(Esys_TR_SetAuth(esys, key, &with_auth.sensitive.userAuth), "authorize the key");
    // The answer of TPM2_Sign has nothing to encrypt.
    if (!restricted) attributes(TPMA_SESSION_DECRYPT);
  }

  void sign() {
    TPM2B_DIGEST digest{};
    digest.size = 32;
    const TPMT_SIG_SCHEME scheme{TPM2_ALG_ECDSA, {{TPM2_ALG_SHA256}}};
    const TPMT_TK_HASHCHECK no_ticket{TPM2_ST_HASHCHECK, TPM2_RH_NULL, {}};
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_Sign(esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &digest, &scheme, &no_ticket,
                    &signature),
          "sign");
    Esys_Free(signature);
  }

  void quote() {
    TPM2B_DATA extra{};
    extra.size = 32;
    const TPMT_SIG_SCHEME scheme{TPM2_ALG_ECDSA, {{TPM2_ALG_SHA256}}};
    const TPML_PCR_SELECTION pcrs{1, {{TPM2_ALG_SHA256, 3, {0xFF, 0xFF, 0}}}};
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    check(Esys_Quote(esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &extra, &scheme, &pcrs,
                     &attest, &signature),
          "quote");
    Esys_Free(attest);
    Esys_Free(signature);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 4 ? argv[3] : "sign";
  if (argc < 3 || argc > 4 || (what != "sign" && what != "quote")) {
    std::fprintf(stderr, "usage: %s TCTI SECONDS [sign|quote]\n", argv[0]);
    return 2;
  }
  try {
    Bench bench(argv[1], what == "quote");
    using Clock = std::chrono::steady_clock;
    const std::chrono::duration<double> wanted(std::strtod(argv[2], nullptr));
    const auto start = Clock::now();
    long commands = 0;
    std::chrono::duration<double> spent{};
    for (; spent < wanted; spent = Clock::now() - start, ++commands)
      what == "quote" ? bench.quote() : bench.sign();
    std::printf("%.1f\n", static_cast<double>(commands) / spent.count());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 4;
  }
}
