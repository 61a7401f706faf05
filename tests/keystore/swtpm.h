// A simulated TPM of one test's own: real swtpm processes, killed by pid, restarted on the same
// state.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace badged::test {

// A directory under the system's temporary one, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

class Swtpm {
 public:
  enum class Kind {
    manufactured,  // RSA-2048 and P-384 EKs with certificates, as swtpm_setup makes them
    blank,         // no EK, no certificate; another TPM each time
  };

  static bool installed();

  // Starts at once. The state of a manufactured TPM is made once per process and copied, so two of
  // them are the same TPM.
  explicit Swtpm(Kind kind = Kind::manufactured);
  ~Swtpm();
  Swtpm(const Swtpm&) = delete;
  Swtpm& operator=(const Swtpm&) = delete;

  std::string tcti() const { return "swtpm:path=" + socket().string(); }
  std::filesystem::path socket() const { return directory_ / "tpm.sock"; }
  std::filesystem::path state() const { return directory_ / "state"; }

  void kill();   // SIGKILL, waits for its end
  void start();  // returns when it answers on its control socket
  void restart() {
    kill();
    start();
  }
  // Another TPM in the same place.
  void become_another();

 private:
  TemporaryDirectory directory_;
  pid_t pid_ = -1;
};

// Runs a program (found in PATH) and waits. `tcti` becomes TPM2TOOLS_TCTI and TPM2OPENSSL_TCTI.
struct ProgramResult {
  int exit_code = -1;
  std::string output;  // standard output and standard error
};
ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& tcti = {},
                          const std::filesystem::path& directory = {});

}  // namespace badged::test
