// Every bound that this layer puts on what strangers send, each with its reason.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace badged::attest {

// JSON. A token's payload nests 4 deep and an authorization detail a little deeper; no recursion of
// ours or of a reader goes further than this.
constexpr std::size_t kJsonDepth = 16;
// Members and elements of one document: the largest honest one, a JWKS of 32 keys, has about 400.
constexpr std::size_t kJsonMembers = 1024;
constexpr std::size_t kJsonBytes = 64 * 1024;

// A compact JWS of ours is 1 to 2 kB; proxies commonly allow header lines of 8 kB, so nothing
// longer arrives at a resource server anyway.
constexpr std::size_t kJwsBytes = 8 * 1024;
constexpr std::size_t kJwsHeaderBytes = 2 * 1024;

// A JWKS holds the TPM's issuer key and the issuing keys of one overlap: 3 or 4. 32 leaves room for
// the set of a small fleet; `badged_vouch` makes each entry about 1.5 kB.
constexpr std::size_t kJwksKeys = 32;
constexpr std::size_t kJwksBytes = 64 * 1024;
constexpr std::size_t kKidBytes = 128;  // a thumbprint is 43

// A subject token of another issuer (RFC 8693): identity providers put groups and names in; one
// form field holds no more.
constexpr std::size_t kSubjectTokenBytes = 16 * 1024;
// RSA-2048 to RSA-4096: less is too weak, more makes verifying slow. An exponent is 65537 or 3.
constexpr std::size_t kRsaModulusMin = 256;
constexpr std::size_t kRsaModulusMax = 512;
constexpr std::size_t kRsaExponentMax = 4;
// Who acts for whom, one for another: a person's token through an orchestrator, a worker and its
// tool is three. Each level costs the token 100 bytes and a resource server a decision.
constexpr std::size_t kMaxActors = 4;
constexpr std::size_t kPartyBytes = 512;  // a `sub`: a SPIFFE ID or an identity provider's id
constexpr std::size_t kScopeBytes = 8 * 1024;

// Claims that are copied, compared or stored.
constexpr std::size_t kUrlBytes = 2048;
constexpr std::size_t kMethodBytes = 32;
constexpr std::size_t kNonceBytes = 256;
// A jti has to carry 96 bits or more (RFC 9449 4.2) and is hashed before it is stored; ours has 22
// characters.
constexpr std::size_t kJtiMin = 8;
constexpr std::size_t kJtiMax = 128;

// A verifier's clock may be behind the issuer's: hosts kept by NTP differ by milliseconds, a
// virtual machine just resumed by a few seconds. Only "not yet" (iat, nbf) gets this; an expired
// token gets none, since its client has renewed it at half of its life.
constexpr std::int64_t kFutureLeeway = 10;
// A proof is made for a request that follows at once; two minutes cover a slow network and one
// retry with the same proof being refused anyway. The replay cache must remember a proof for as
// long.
constexpr std::int64_t kProofMaxAge = 120;
// 2100-01-01: a later time is an error in its maker, and arithmetic on it stays far from overflow.
constexpr std::int64_t kLatestTime = 4102444800;

// 65,536 proofs within their window are 400 a second for a verifier of ours; about 8 MB when full.
constexpr std::size_t kReplayEntries = 65536;

// A status list (RFC 7515 form) of 2^23 tokens, one bit each, is 1 MiB after inflation; statuses of
// another issuer may take 8 bits. Compressed and twice in base64url, the worst of it is 1.9 MB.
constexpr std::size_t kStatusListBytes = 1024 * 1024;
constexpr std::size_t kStatusJwsBytes = 2 * 1024 * 1024;
// How old a list may be that has neither exp nor ttl: badged's expire after an hour. Whoever is
// revoked meanwhile and can keep a newer list away has that long.
constexpr std::int64_t kStatusListMaxAge = 3600;

// TPM structures (TPM 2.0 Part 2). An ECC public area has 90 bytes, an RSA-4096 one 560.
constexpr std::size_t kTpmStructureBytes = 4096;
constexpr std::size_t kTpmDigestBytes = 64;  // SHA-512
constexpr std::size_t kTpmNameBytes = 66;    // 2 of algorithm and a digest
constexpr std::size_t kTpmDataBytes = 66;    // TPM2B_DATA: sizeof(TPMT_HA)
// RSA-16384, so that a key too large is read and refused for that; no key above 4096 bits is used
// (ak_key.cpp), which bounds the time of a verification.
constexpr std::size_t kTpmRsaBytes = 2048;
constexpr std::size_t kTpmEccBytes = 80;       // BN-P638: read, and refused for its curve
constexpr std::size_t kTpmPcrSelections = 16;  // HASH_COUNT of the reference code
constexpr std::size_t kTpmPcrSelectBytes = 3;  // PCR 0 to 23, as the PC Client profile has them
constexpr std::size_t kTpmNvBytes = 2048;      // MAX_NV_BUFFER_SIZE

// SubjectPublicKeyInfo as PEM: RSA-4096 has 800 bytes.
constexpr std::size_t kAkFileBytes = 8 * 1024;
constexpr unsigned kPcrCount = 24;  // the PC Client profile's

// Evidence. A challenge below 128 bits can be met by chance, and eat_nonce (RFC 9711 4.1) has at
// most 88 characters, which 64 bytes fill to 86.
constexpr std::size_t kChallengeMin = 16;
constexpr std::size_t kChallengeMax = 64;
// PCRs as JSON: 24 values of 4 banks, the largest 128 hex digits, are 9 kB.
constexpr std::size_t kPcrsBytes = 16 * 1024;
// Firmware reserves 64 kB for its log (LAML of the TPM2 table); machines with many devices 256 kB.
constexpr std::size_t kEventLogBytes = 512 * 1024;
// An IMA entry has about 120 bytes: 17,000 files. A longer log is left out, and named.
constexpr std::size_t kImaLogBytes = 2 * 1024 * 1024;
// An EK certificate has 1 to 1.5 kB; PEM makes a chain of four 8 kB.
constexpr std::size_t kEkChainBytes = 16 * 1024;
// A replay or state file is locked while one verifier reads, judges and replaces it: milliseconds,
// and a second or two where the disk is slow. Who holds it for longer hangs, and whoever asks a
// verifier waits.
constexpr std::chrono::milliseconds kLockPatience{5000};
// What is remembered of a TPM: 400 bytes.
constexpr std::size_t kStateBytes = 4096;
// The writer of a pipe that badge-verifier reads may have to ask a TPM, or somebody for a password,
// before it begins. Whoever started both wants an answer within a minute.
constexpr std::chrono::milliseconds kPipePatience{60'000};
// All records in base64url twice (16/9), claims and the small structures.
constexpr std::size_t kEvidenceBytes = 5 * 1024 * 1024;
// Three members for each of 14 records, the claims, and room for records that we do not know.
constexpr std::size_t kEvidenceMembers = 256;

}  // namespace badged::attest
