// How fast evidence is checked, beside the bare cost of its three signatures (quote, certification,
// the whole) in OpenSSL, per second of processor time, in turns. usage: evidence_check SECONDS
// prints {"checked":/s,"bare":/s,"kb":peak memory}
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/attest/evidence_maker.h"

using namespace badged;

namespace {

// Of this process, so that what else the machine does leaves the ratio alone.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Work done in turns with other work; each turn is short, so that what the machine does meanwhile
// slows both alike.
struct Turns {
  double seconds = 0;
  std::uint64_t done = 0;

  template <class Work>
  void take(Work work) {
    const double begin = processor_seconds();
    for (int i = 0; i < 32; ++i, ++done) work();
    seconds += processor_seconds() - begin;
  }
  double rate() const { return static_cast<double>(done) / seconds; }
};

// ru_maxrss would be no less than that of the process that started this one.
long peak_kb() {
  std::ifstream status("/proc/self/status");
  const std::string label = "VmHWM:";
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(label)) return std::atol(line.c_str() + label.size());
  throw std::runtime_error("/proc/self/status has no VmHWM");
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
  Turns checked, least;
  while (checked.seconds + least.seconds < 2 * seconds) {
    checked.take([&] {
      if (!attest::appraise(ak, evidence, expect).good())
        throw std::runtime_error("the evidence is refused");
    });
    least.take([&] {
      for (const auto& each : signatures) each.verify();
    });
  }
  std::printf("{\"checked\":%.1f,\"bare\":%.1f,\"kb\":%ld}\n", checked.rate(), least.rate(),
              peak_kb());
}
