// What evidence costs beside the TPM: reading logs, encoding and hashing some megabytes. On a
// thread of its own; and not too much of it at once.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/calls/host_logs.h"
#include "daemon/peers/workers.h"
#include "keystore/store.h"

namespace badged::calls {

// Everything that goes into one piece of evidence but the logs.
struct EvidenceMaterial {
  std::string issuer;
  std::string subject;
  std::string audience;
  Bytes challenge;
  std::int64_t issued_at = 0;
  std::optional<std::string> session_jkt;
  std::string custody;
  std::string issuer_thumbprint;
  keystore::Certification issuer_certification;
  std::optional<keystore::Certification> session_certification;
  keystore::Quote quote;
  keystore::Identity identity;
};

// A compact JWS without its signature, and what is to be signed.
struct UnsignedEvidence {
  std::string signing_input;
  Digest digest{};
};

// Belongs to the I/O thread.
class EvidenceWork {
 public:
  EvidenceWork(boost::asio::io_context& io, HostLogPaths paths);

  // A place among the pieces under way, until the last copy is gone; null when there is none left,
  // or none for `whose`. May outlive this object.
  std::shared_ptr<const void> take_place(const std::string& whose);

  // Reads the logs, after the quote, so that they hold at least what was quoted; encodes.
  boost::asio::awaitable<Result<UnsignedEvidence>> assemble(EvidenceMaterial material);

 private:
  using Places = std::map<std::string, std::size_t>;
  boost::asio::io_context& io_;
  const HostLogPaths paths_;
  const std::shared_ptr<Places> places_ = std::make_shared<Places>();
  std::size_t taken() const;
  peers::Workers workers_;  // last: its thread uses the paths
};

// {"sha256":{"0":"hex",…}}
std::string pcrs_json(const std::vector<keystore::PcrValue>& values);

}  // namespace badged::calls
