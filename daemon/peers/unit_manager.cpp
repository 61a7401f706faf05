#include "daemon/peers/unit_manager.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "daemon/peers/limits.h"

namespace badged::peers {

namespace {

constexpr const char* kManager = "org.freedesktop.systemd1";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";
constexpr const char* kService = "org.freedesktop.systemd1.Service";
constexpr const char* kPrivateSocket = "unix:path=/run/systemd/private";
// One question is five calls; the first that stays unanswered ends it.
constexpr auto kCallDeadline = kManagerDeadline;
constexpr std::chrono::seconds kSilence{1};  // after a deadline, before the manager is asked again

struct Free {
  void operator()(char* text) const { std::free(text); }
};

struct BusError {
  sd_bus_error value = SD_BUS_ERROR_NULL;
  ~BusError() { ::sd_bus_error_free(&value); }
};

struct Unref {
  void operator()(sd_bus_message* message) const { ::sd_bus_message_unref(message); }
};

}  // namespace

// The properties of one unit, read one by one; the first failure sticks.
struct UnitManager::Question {
  sd_bus* bus;
  const char* destination;
  const char* path;
  int failure = 0;

  std::string text(const char* property) {
    BusError error;
    char* value = nullptr;
    keep(::sd_bus_get_property_string(bus, destination, path, kService, property, &error.value,
                                      &value));
    const std::unique_ptr<char, Free> owned(value);
    return value ? value : std::string{};
  }
  pid_t main_pid() {
    BusError error;
    std::uint32_t value = 0;
    keep(::sd_bus_get_property_trivial(bus, destination, path, kService, "MainPID", &error.value,
                                       'u', &value));
    return static_cast<pid_t>(value);
  }
  std::string invocation_id() {
    BusError error;
    sd_bus_message* answer = nullptr;
    keep(::sd_bus_get_property(bus, destination, path, kUnit, "InvocationID", &error.value, &answer,
                               "ay"));
    const std::unique_ptr<sd_bus_message, Unref> owned(answer);
    const void* bytes = nullptr;
    std::size_t size = 0;
    if (failure == 0) keep(::sd_bus_message_read_array(answer, 'y', &bytes, &size));
    std::string hex;
    for (std::size_t i = 0; failure == 0 && i < size; ++i) {
      constexpr const char* kDigits = "0123456789abcdef";
      const auto byte = static_cast<const unsigned char*>(bytes)[i];
      hex += kDigits[byte >> 4];
      hex += kDigits[byte & 15];
    }
    return hex;
  }
  void keep(int result) {
    if (result < 0 && failure == 0) failure = -result;
  }
};

bool UnitManager::connect_to(const char* private_address) {
  sd_bus* bus = nullptr;
  int result = 0;
  if (private_address) {
    result = ::sd_bus_new(&bus);
    if (result >= 0) result = ::sd_bus_set_address(bus, private_address);
    if (result >= 0) result = ::sd_bus_start(bus);
  } else {
    result = ::sd_bus_open_system(&bus);
  }
  bus_.reset(bus);
  if (result >= 0) {
    const auto deadline = std::chrono::microseconds(kCallDeadline);
    result = ::sd_bus_set_method_call_timeout(bus, static_cast<std::uint64_t>(deadline.count()));
  }
  if (result < 0) bus_.reset();
  destination_ = private_address ? nullptr : kManager;
  return bus_ != nullptr;
}

bool UnitManager::connect() {
  if (bus_ && ::sd_bus_is_open(bus_.get()) > 0) return true;
  // PID 1 lets only root use its private socket, which needs no bus daemon.
  return (::geteuid() == 0 && connect_to(kPrivateSocket)) || connect_to(nullptr);
}

PeerResult<MainProcessSeen> UnitManager::ask(const std::string& unit) {
  const auto now = std::chrono::steady_clock::now();
  if (now < silent_until_) return refuse(PeerRefusal::manager_unavailable, "it timed out just now");
  char* encoded = nullptr;
  if (::sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &encoded) < 0) {
    return refuse(PeerRefusal::kernel_failure, "name the unit on the bus");
  }
  const std::unique_ptr<char, Free> path(encoded);
  int failure = ENOTCONN;
  // A connection that the manager closed (it re-executed, the bus restarted) shows at its use.
  for (int attempt = 0; attempt < 2 && connect(); ++attempt) {
    Question question{bus_.get(), destination_, path.get()};
    MainProcessSeen seen;
    seen.invocation_id = question.invocation_id();
    if (question.failure == 0) seen.claimable = question.text("NotifyAccess") == "all";
    if (question.failure == 0) seen.claimable |= !question.text("PIDFile").empty();
    if (question.failure == 0) seen.main_pid = question.main_pid();
    const std::string afterwards = question.failure == 0 ? question.invocation_id() : "";
    if (question.failure == 0 && afterwards == seen.invocation_id) return seen;
    if (question.failure == 0) return refuse(PeerRefusal::unit_changed);
    failure = question.failure;
    if (failure == ENOENT || failure == EBADR) return refuse(PeerRefusal::no_unit);
    bus_.reset();
    if (failure == ETIMEDOUT) {
      silent_until_ = std::chrono::steady_clock::now() + kSilence;
      break;
    }
  }
  return refuse_errno(PeerRefusal::manager_unavailable, "ask for MainPID", failure);
}

}  // namespace badged::peers
