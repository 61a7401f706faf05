#include "tests/keystore/relay.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

namespace badged::test {

namespace {

constexpr std::size_t kHeader = 10;  // tag, size, code
constexpr std::size_t kLargest = 4096;

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

int connect_to(const std::filesystem::path& path) {
  const sockaddr_un address = address_of(path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  ::close(fd);
  return -1;
}

bool read_all(int fd, std::uint8_t* to, std::size_t size) {
  // A receive of nothing would wait for something.
  return size == 0 || ::recv(fd, to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

std::uint32_t number(const Bytes& message, std::size_t at) {
  return std::uint32_t{message[at]} << 24 | std::uint32_t{message[at + 1]} << 16 |
         std::uint32_t{message[at + 2]} << 8 | message[at + 3];
}

std::optional<Bytes> receive(int fd) {
  Bytes message(kHeader);
  if (!read_all(fd, message.data(), kHeader)) return std::nullopt;
  const std::size_t size = number(message, 2);
  if (size < kHeader || size > kLargest) return std::nullopt;
  message.resize(size);
  if (!read_all(fd, message.data() + kHeader, size - kHeader)) return std::nullopt;
  return message;
}

bool send_all(int fd, const Bytes& message) {
  return ::send(fd, message.data(), message.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(message.size());
}

}  // namespace

Relay::Relay(const Swtpm& tpm) : upstream_(tpm.socket()) {
  const auto path = directory_ / "tpm.sock";
  std::filesystem::create_symlink(upstream_.string() + ".ctrl", path.string() + ".ctrl");
  const sockaddr_un address = address_of(path);
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_, 16) != 0)
    throw std::runtime_error("relay: listen");
  acceptor_ = std::thread([this] { serve(); });
}

Relay::~Relay() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int client : clients_) ::shutdown(client, SHUT_RDWR);
    if (tpm_ >= 0) ::shutdown(tpm_, SHUT_RDWR);
  }
  acceptor_.join();
  for (auto& thread : threads_) thread.join();
  for (const int client : clients_) ::close(client);
  if (tpm_ >= 0) ::close(tpm_);
  ::close(listener_);
}

void Relay::intercept(Intercept intercept) {
  const std::lock_guard lock(mutex_);
  intercept_ = std::move(intercept);
}

void Relay::tamper(Tamper tamper) {
  const std::lock_guard lock(mutex_);
  tamper_ = std::move(tamper);
}

Bytes Relay::error_answer(std::uint32_t code) {
  return {0x80,
          0x01,
          0,
          0,
          0,
          10,
          static_cast<std::uint8_t>(code >> 24),
          static_cast<std::uint8_t>(code >> 16),
          static_cast<std::uint8_t>(code >> 8),
          static_cast<std::uint8_t>(code)};
}

std::uint32_t Relay::command_code(const Bytes& command) {
  return number(command, 6);
}

void Relay::serve() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (client < 0 || stopping_) {
      if (client >= 0) ::close(client);
      return;
    }
    clients_.push_back(client);
    threads_.emplace_back([this, client] { serve_client(client); });
  }
}

void Relay::serve_client(int client) {
  while (const auto command = receive(client)) {
    const auto answer = exchange(*command);
    if (!answer || !send_all(client, *answer)) break;
  }
  ::shutdown(client, SHUT_RDWR);
}

std::optional<Bytes> Relay::exchange(const Bytes& command) {
  const std::lock_guard lock(mutex_);
  if (intercept_)
    if (auto answer = intercept_(command)) return answer;
  if (tpm_ < 0) tpm_ = connect_to(upstream_);
  if (tpm_ < 0 || stopping_) return std::nullopt;
  std::optional<Bytes> answer;
  if (send_all(tpm_, command)) answer = receive(tpm_);
  if (!answer) {
    ::close(tpm_);
    tpm_ = -1;
  } else if (tamper_) {
    tamper_(command, *answer);
  }
  return answer;
}

}  // namespace badged::test
