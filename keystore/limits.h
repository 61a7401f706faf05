// Every bound of the key store, each with its reason.
#pragma once

#include <chrono>
#include <cstddef>

namespace badged::keystore::limits {

// A TPM signs 5 to 40 times a second: more waiting than this only turns "busy" into a timeout.
constexpr std::size_t kQueue = 512;
// One caller may not fill the queue; 96 lets one uid keep 64 connections busy.
constexpr std::size_t kQueuePerCaller = 96;
// Places that only badged's own work may take, so that strangers cannot starve its statements.
constexpr std::size_t kQueueReserved = 32;

// Saved contexts and wrapped blobs cost about 2 kB each, and no TPM serves more keys than this.
constexpr std::size_t kTpmSessionKeys = 1024;
// A software key costs about 3 kB once it has signed.
constexpr std::size_t kSoftwareSessionKeys = 16384;

// TPM2B_SENSITIVE_DATA of every TPM holds 128 bytes (Part 2, MAX_SYM_DATA).
constexpr std::size_t kSealedSecret = 128;
// Public and private area of a sealed object: about 300 bytes; a blob from a file is not trusted.
constexpr std::size_t kSealedBlob = 2048;

// A PEM of ours is about 500 bytes, the record about 700.
constexpr std::size_t kKeyFile = 16384;
// A PCR that is extended between reading and quoting costs another try; the kernel's IMA extends in
// bursts while programs start, each a few commands long.
constexpr int kQuoteTries = 8;

// Issuers' certificates in NV: root, intermediate and one to spare; the profile allows 256 indices.
constexpr std::size_t kChainIndices = 8;
constexpr std::size_t kChainCertificates = 8;

// EK certificates run to 2 kB; NV indices of shipping TPMs end at 2 kB to 4 kB.
constexpr std::size_t kNvIndex = 8192;

// How long one operation may wait for a TPM that answers RETRY, TESTING, YIELDED, NV_RATE,
// NV_UNAVAILABLE or CANCELED. Self tests of real chips take up to a second or two.
constexpr std::chrono::milliseconds kOperation{5000};
// Provisioning makes keys: RSA-2048 takes a slow chip tens of seconds, which is not waiting.
constexpr std::chrono::milliseconds kProvisioning{60000};
constexpr std::chrono::milliseconds kFirstBackoff{5};
constexpr std::chrono::milliseconds kLastBackoff{250};

// A TPM that is away is tried again after kFirstReconnect, doubling to kLastReconnect.
constexpr std::chrono::milliseconds kFirstReconnect{50};
constexpr std::chrono::milliseconds kLastReconnect{2000};
// A command that runs longer is answered for: a chip takes a second for a signature or a key, and
// what may wait for RETRY ends after kOperation.
constexpr std::chrono::milliseconds kHang{10000};
// How often an idle store asks whether its TPM is still there.
constexpr std::chrono::milliseconds kProbe{5000};

// Transient slots that every TPM has (PC Client PTP, TPM_PT_HR_TRANSIENT_MIN = 3): the issuer stays
// in one; a load under a persistent parent needs the other two.
constexpr std::size_t kWorkingSlots = 2;

}  // namespace badged::keystore::limits
