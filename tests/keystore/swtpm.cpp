#include "tests/keystore/swtpm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace badged::test {

namespace fs = std::filesystem;

namespace {

pid_t spawn(const std::vector<std::string>& arguments, int output,
            const std::vector<std::pair<std::string, std::string>>& environment = {},
            const fs::path& directory = {}) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> settings;
  for (char** each = environ; *each != nullptr; ++each) settings.emplace_back(*each);
  for (const auto& [name, value] : environment) settings.push_back(name + "=" + value);
  std::vector<char*> envp;
  for (auto& setting : settings) envp.push_back(setting.data());
  envp.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::dup2(output, 1);
    ::dup2(output, 2);
    if (!directory.empty() && ::chdir(directory.c_str()) != 0) ::_exit(126);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  return pid;
}

bool connects(const fs::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket.c_str(), sizeof(address.sun_path) - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answered =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return answered;
}

void require_success(const ProgramResult& result, const char* what) {
  if (result.exit_code != 0) throw std::runtime_error(std::string(what) + ": " + result.output);
}

// swtpm_setup with its own certificate authority, once per process.
const fs::path& manufactured_state() {
  static const TemporaryDirectory place;
  static const fs::path state = [] {
    const fs::path& base = place.path();
    fs::create_directory(base / "ca");
    fs::create_directory(base / "state");
    std::ofstream(base / "setup.conf")
        << "create_certs_tool = /usr/bin/swtpm_localca\n"
        << "create_certs_tool_config = " << (base / "localca.conf").string()
        << "\ncreate_certs_tool_options = " << (base / "localca.options").string() << "\n";
    std::ofstream(base / "localca.conf")
        << "statedir = " << (base / "ca").string()
        << "\nsigningkey = " << (base / "ca/signkey.pem").string()
        << "\nissuercert = " << (base / "ca/issuercert.pem").string()
        << "\ncertserial = " << (base / "ca/certserial").string() << "\n";
    std::ofstream(base / "localca.options")
        << "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n";
    require_success(
        run_program({"swtpm_setup", "--tpm2", "--tpmstate", base / "state", "--create-ek-cert",
                     "--config", base / "setup.conf", "--logfile", base / "setup.log"}),
        "swtpm_setup");
    return base / "state";
  }();
  return state;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (fs::temp_directory_path() / "badged-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

bool Swtpm::installed() {
  return ::access("/usr/bin/swtpm", X_OK) == 0 && ::access("/usr/bin/swtpm_setup", X_OK) == 0;
}

Swtpm::Swtpm(Kind kind) {
  if (kind == Kind::manufactured)
    fs::copy(manufactured_state(), state());
  else
    fs::create_directory(state());
  start();
}

Swtpm::~Swtpm() {
  kill();
}

void Swtpm::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Swtpm::start() {
  const fs::path control = socket().string() + ".ctrl";
  fs::remove(socket());
  fs::remove(control);
  const int log =
      ::open((directory_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = spawn({"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + state().string(), "--flags",
                "not-need-init,startup-clear", "--server", "type=unixio,path=" + socket().string(),
                "--ctrl", "type=unixio,path=" + control.string()},
               log);
  ::close(log);
  for (int tries = 0; tries < 2000; ++tries) {
    if (connects(control)) return;
    ::poll(nullptr, 0, 5);
  }
  throw std::runtime_error("swtpm does not answer");
}

void Swtpm::become_another() {
  kill();
  fs::remove_all(state());
  fs::create_directory(state());
  start();
}

ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& tcti,
                          const fs::path& directory) {
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  std::vector<std::pair<std::string, std::string>> environment;
  if (!tcti.empty()) environment = {{"TPM2TOOLS_TCTI", tcti}, {"TPM2OPENSSL_TCTI", tcti}};
  const pid_t pid = spawn(arguments, ends[1], environment, directory);
  ::close(ends[1]);
  ProgramResult result;
  std::array<char, 4096> buffer;
  for (ssize_t n; (n = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
    result.output.append(buffer.data(), static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}

}  // namespace badged::test
