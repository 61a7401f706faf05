// Stands between clients and a swtpm: serves several at a time (swtpm serves one), and can answer
// in the TPM's place, change what it says, or hold commands back.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "keystore/bytes.h"
#include "tests/keystore/swtpm.h"

namespace badged::test {

class Relay {
 public:
  // Called with each command, one at a time. An answer given goes to the client; none asks the TPM.
  using Intercept = std::function<std::optional<Bytes>(const Bytes& command)>;
  using Tamper = std::function<void(const Bytes& command, Bytes& answer)>;

  explicit Relay(const Swtpm& tpm);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  std::string tcti() const { return "swtpm:path=" + (directory_ / "tpm.sock").string(); }
  void intercept(Intercept intercept);
  void tamper(Tamper tamper);

  static Bytes error_answer(std::uint32_t code);  // ten bytes: no sessions, `code`
  static std::uint32_t command_code(const Bytes& command);

 private:
  void serve();
  void serve_client(int client);
  std::optional<Bytes> exchange(const Bytes& command);

  const std::filesystem::path upstream_;
  TemporaryDirectory directory_;
  int listener_ = -1;
  std::mutex mutex_;  // one command at a time
  int tpm_ = -1;
  bool stopping_ = false;
  Intercept intercept_;
  Tamper tamper_;
  std::vector<int> clients_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace badged::test
