// How fast evidence is checked, beside the bare cost of its three signatures (quote, certification,
// the whole) in OpenSSL, per second of processor time, in turns. usage: evidence_check SECONDS
// prints {"checked":/s,"bare":/s,"kb":peak memory}
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <stdexcept>

#include "tests/attest/evidence_maker.h"

using namespace badged;

namespace {

// Of this process, so that what else the machine does leaves the ratio alone.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
double rate(double seconds, Work work) {
  const double begin = processor_seconds();
  double passed = 0;
  std::uint64_t done = 0;
  for (; passed < seconds; passed = processor_seconds() - begin)
    for (int i = 0; i < 64; ++i, ++done) work();
  return static_cast<double>(done) / passed;
}

// A signature over a message, with its key ready: all that has to be verified at the very least.
struct Bare {
  attest::Es256Verifier key;
  Bytes message;
  Signature signature;
  void verify() const {
    if (!key.verify(message, signature)) throw std::runtime_error("a signature does not hold");
  }
};

Bare bare(const keystore::MemoryKey& key, Bytes message) {
  const Signature signature = key.sign(keystore::sha256(message)).value();
  return {attest::Es256Verifier::create(key.public_key()).value(), std::move(message), signature};
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  const test::EvidenceMaker maker;
  const auto ak = maker.pinned();
  const std::string evidence = maker.make();
  const auto expect = maker.expectation();
  const std::string whole = evidence.substr(0, evidence.rfind('.'));
  const Bare signatures[] = {
      bare(maker.ak.key, maker.quoted()),
      bare(maker.ak.key, maker.certify(maker.ak_public, {}).attest),
      bare(maker.issuer, Bytes(as_bytes(whole).begin(), as_bytes(whole).end()))};
  double checked = 0, least = 0;
  for (int turn = 0; turn < 4; ++turn) {
    checked += rate(seconds / 4, [&] {
      if (!attest::appraise(ak, evidence, expect).good())
        throw std::runtime_error("the evidence is refused");
    });
    least += rate(seconds / 4, [&] {
      for (const auto& each : signatures) each.verify();
    });
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"checked\":%.1f,\"bare\":%.1f,\"kb\":%ld}\n", checked / 4, least / 4,
              usage.ru_maxrss);
}
