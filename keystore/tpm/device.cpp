#include "keystore/tpm/device.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace badged::keystore::tpm {

namespace {

using std::chrono::milliseconds;

// How long a new connection may stay without any answer: a single-connection server (swtpm) that
// another program holds would otherwise block the thread for ever.
constexpr milliseconds kFirstAnswer{3000};

// The path a TCTI string names, where that can be looked at before the stack hides the reason.
std::string path_of(std::string_view tcti) {
  for (const std::string_view prefix : {"device:", "swtpm:path="})
    if (tcti.starts_with(prefix)) return std::string(tcti.substr(prefix.size()));
  return {};
}

bool has_resource_manager(std::string_view tcti) {
  return tcti.starts_with("device:/dev/tpmrm") || tcti.starts_with("tabrmd") ||
         tcti.starts_with("device:/dev/tcm-rm");
}

Outcome<void> check_access(const std::string& tcti) {
  if (tcti.empty())
    return fault(Kind::failed, "open the TPM: no TCTI is configured", "set keystore.tcti");
  const std::string path = path_of(tcti);
  if (path.empty() || ::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) == 0) return {};
  const std::string what = "open the TPM at " + path + ": " + strerror(errno);
  return fault(errno == EACCES || errno == EPERM ? Kind::no_permission : Kind::missing, what);
}

// A simulator serves one connection at a time, and the stack waits for its turn without end: ask it
// something on a connection of our own first. (The kernel's device says EBUSY instead.)
Outcome<void> check_answers(const std::string& tcti, const Pause& pause) {
  if (!tcti.starts_with("swtpm:path=")) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = path_of(tcti);
  if (path.size() >= sizeof(address.sun_path))
    return fault(Kind::failed, "open the TPM at " + path + ": the path is too long");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  // TPM2_GetCapability(TPM_CAP_TPM_PROPERTIES, TPM_PT_FAMILY_INDICATOR, 1)
  constexpr std::array<std::uint8_t, 22> question = {0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7A, 0,
                                                     0,    0, 6, 0, 0, 1,  0, 0, 0, 0,    1};
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool answered = false;
  const bool connected =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(fd, question.data(), question.size(), MSG_NOSIGNAL) == ssize_t{question.size()};
  for (milliseconds waited{0}; connected && !answered && waited < kFirstAnswer;
       waited += limits::kLastBackoff) {
    pollfd readable{fd, POLLIN, 0};
    answered = ::poll(&readable, 1, static_cast<int>(limits::kLastBackoff.count())) > 0;
    if (!pause(milliseconds(0))) break;
  }
  ::close(fd);
  if (answered) return {};
  if (!connected) return fault(Kind::missing, "open the TPM at " + path + ": nobody answers there");
  return fault(Kind::missing, "talk to the TPM at " + path + ": it does not answer",
               "look whether another program holds it (swtpm serves one at a time)");
}

}  // namespace

Device::Device(TSS2_TCTI_CONTEXT* tcti, bool shared, Pause pause)
    : tcti_(tcti), shared_(shared), pause_(std::move(pause)) {
  allow(limits::kOperation);
}

Device::~Device() {
  if (esys_ != nullptr) Esys_Finalize(&esys_);
  Tss2_TctiLdr_Finalize(&tcti_);
}

Outcome<std::unique_ptr<Device>> Device::open(const std::string& tcti, Pause pause) {
  if (auto access = check_access(tcti); !access) return access.error();
  if (auto answers = check_answers(tcti, pause); !answers) return answers.error();
  TSS2_TCTI_CONTEXT* context = nullptr;
  errno = 0;
  if (Tss2_TctiLdr_Initialize(tcti.c_str(), &context) != TSS2_RC_SUCCESS)
    return fault(Kind::missing, errno == EBUSY
                                    ? "open the TPM " + tcti + ": another program holds it"
                                    : "open the TPM " + tcti + ": nobody answers there");
  std::unique_ptr<Device> device(new Device(context, has_resource_manager(tcti), std::move(pause)));
  if (const TSS2_RC rc = Esys_Initialize(&device->esys_, device->tcti_, nullptr))
    return fault(rc, "set up the TPM's context");
  if (auto ready = device->first_contact(); !ready) return ready.error();
  return device;
}

void Device::allow(milliseconds budget) {
  deadline_ = std::chrono::steady_clock::now() + budget;
}

bool Device::wait_to_retry(milliseconds wait) {
  wait = std::min(wait, limits::kLastBackoff);
  return std::chrono::steady_clock::now() + wait < deadline_ && pause_(wait);
}

Outcome<void> Device::first_contact() {
  TPMI_YES_NO more = 0;
  TPMS_CAPABILITY_DATA* raw = nullptr;
  const TSS2_RC rc = Esys_GetCapability(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        TPM2_CAP_HANDLES, TPM2_TRANSIENT_FIRST, 1, &more, &raw);
  const Owned<TPMS_CAPABILITY_DATA> data(raw);
  // A simulator comes up without anybody to start it; before the kernel's TPM somebody did.
  if (rc == TPM2_RC_INITIALIZE && !shared_) {
    auto started = run("start the TPM up",
                       [](ESYS_CONTEXT* esys) { return Esys_Startup(esys, TPM2_SU_CLEAR); });
    if (!started) return started;
  } else if (rc != TSS2_RC_SUCCESS && classify(rc) != Kind::again) {
    return fault(rc, "talk to the TPM");
  }
  return shared_ ? Outcome<void>() : flush_leftovers();
}

Outcome<std::vector<TPM2_HANDLE>> Device::handles(TPM2_HANDLE first) {
  Owned<TPMS_CAPABILITY_DATA> data;
  auto done = run("list the TPM's handles", [&](ESYS_CONTEXT* esys) {
    TPMI_YES_NO more = 0;
    TPMS_CAPABILITY_DATA* raw = nullptr;
    const TSS2_RC rc =
        Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, first,
                           TPM2_MAX_CAP_HANDLES, &more, &raw);
    data.reset(raw);
    return rc;
  });
  if (!done) return done.error();
  const auto& list = data->data.handles;
  const auto count = std::min<std::size_t>(list.count, TPM2_MAX_CAP_HANDLES);
  return std::vector<TPM2_HANDLE>(list.handle, list.handle + count);
}

Outcome<bool> Device::exists(TPM2_HANDLE handle) {
  auto list = handles(handle);
  if (!list) return list.error();
  return std::find(list->begin(), list->end(), handle) != list->end();
}

Outcome<UINT32> Device::property(TPM2_PT which) {
  Owned<TPMS_CAPABILITY_DATA> data;
  auto done = run("read a property of the TPM", [&](ESYS_CONTEXT* esys) {
    TPMI_YES_NO more = 0;
    TPMS_CAPABILITY_DATA* raw = nullptr;
    const TSS2_RC rc = Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                          TPM2_CAP_TPM_PROPERTIES, which, 1, &more, &raw);
    data.reset(raw);
    return rc;
  });
  if (!done) return done.error();
  const auto& list = data->data.tpmProperties;
  if (list.count < 1 || list.tpmProperty[0].property != which)
    return fault(Kind::refused, "read a property of the TPM: it has none such");
  return list.tpmProperty[0].value;
}

Outcome<Device::Loaded> Device::persistent(TPM2_HANDLE handle) {
  Loaded loaded;
  auto found = run("open a persistent key", [&](ESYS_CONTEXT* esys) {
    return Esys_TR_FromTPMPublic(esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 &loaded.handle);
  });
  if (!found) return found.error();
  Owned<TPM2B_PUBLIC> area;
  auto read = run("read a persistent key", [&](ESYS_CONTEXT* esys) {
    TPM2B_PUBLIC* raw = nullptr;
    const TSS2_RC rc = Esys_ReadPublic(esys, loaded.handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &raw, nullptr, nullptr);
    area.reset(raw);
    return rc;
  });
  if (!read) return read.error();
  // ESAPI salts sessions with the public area of its own first read: both reads must agree.
  TPM2B_NAME* raw = nullptr;
  if (const TSS2_RC rc = Esys_TR_GetName(esys_, loaded.handle, &raw))
    return fault(rc, "name a key");
  const Owned<TPM2B_NAME> first(raw);
  auto name = name_of(area->publicArea);
  if (!name) return name.error();
  if (!std::equal(name->begin(), name->end(), first->name, first->name + first->size))
    return fault(Kind::lost, "read a persistent key: its Name does not match");
  loaded.area = *area;
  loaded.name = std::move(*name);
  return loaded;
}

Outcome<Bytes> Device::read_nv(TPM2_HANDLE index) {
  ESYS_TR handle = ESYS_TR_NONE;
  auto found = run("open an NV index", [&](ESYS_CONTEXT* esys) {
    return Esys_TR_FromTPMPublic(esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &handle);
  });
  if (!found) return found.error();
  Owned<TPM2B_NV_PUBLIC> area;
  auto read = run("look at an NV index", [&](ESYS_CONTEXT* esys) {
    TPM2B_NV_PUBLIC* raw = nullptr;
    const TSS2_RC rc =
        Esys_NV_ReadPublic(esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &raw, nullptr);
    area.reset(raw);
    return rc;
  });
  if (!read) return read.error();
  const std::size_t size = area->nvPublic.dataSize;
  if (size > limits::kNvIndex) return fault(Kind::refused, "read an NV index: it is too large");
  const ESYS_TR by =
      (area->nvPublic.attributes & TPMA_NV_AUTHREAD) != 0 ? handle : ESYS_TR(ESYS_TR_RH_OWNER);
  constexpr std::size_t kChunk = 512;  // every TPM's NV buffer holds that
  Bytes content;
  while (content.size() < size) {
    const auto want = static_cast<UINT16>(std::min(kChunk, size - content.size()));
    const auto offset = static_cast<UINT16>(content.size());
    Owned<TPM2B_MAX_NV_BUFFER> piece;
    // Certificates and templates are public: no session, no encryption.
    auto got = run("read an NV index", [&](ESYS_CONTEXT* esys) {
      TPM2B_MAX_NV_BUFFER* raw = nullptr;
      const TSS2_RC rc = Esys_NV_Read(esys, by, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                      ESYS_TR_NONE, want, offset, &raw);
      piece.reset(raw);
      return rc;
    });
    if (!got) return got.error();
    if (piece->size != want) return fault(Kind::lost, "read an NV index: it came out short");
    content.insert(content.end(), piece->buffer, piece->buffer + piece->size);
  }
  return content;
}

void Device::flush(ESYS_TR handle) {
  if (handle == ESYS_TR_NONE) return;
  if (Esys_FlushContext(esys_, handle) != TSS2_RC_SUCCESS) Esys_TR_Close(esys_, &handle);
}

Outcome<void> Device::flush_range(TPM2_HANDLE first) {
  auto list = handles(first);
  if (!list) return list.error();
  for (const TPM2_HANDLE raw : *list) {
    ESYS_TR handle = ESYS_TR_NONE;
    auto flushed = run("free a slot that another program left", [&](ESYS_CONTEXT* esys) {
      const TSS2_RC rc =
          Esys_TR_FromTPMPublic(esys, raw, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &handle);
      return rc == TSS2_RC_SUCCESS ? Esys_FlushContext(esys, handle) : rc;
    });
    if (!flushed) return flushed;
  }
  return {};
}

Outcome<void> Device::flush_leftovers() {
  for (const TPM2_HANDLE first :
       {TPM2_HANDLE(TPM2_TRANSIENT_FIRST), TPM2_HANDLE(TPM2_LOADED_SESSION_FIRST),
        TPM2_HANDLE(TPM2_ACTIVE_SESSION_FIRST)})
    if (auto flushed = flush_range(first); !flushed) return flushed;
  return {};
}

}  // namespace badged::keystore::tpm
