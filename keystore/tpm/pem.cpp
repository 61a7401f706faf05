#include "keystore/tpm/pem.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <algorithm>

namespace badged::keystore::tpm {

namespace {

constexpr const char* kLabel = "TSS2 PRIVATE KEY";
// 2.23.133.10.1.3 id-loadablekey
constexpr std::array<std::uint8_t, 8> kLoadable = {0x06, 0x06, 0x67, 0x81, 0x05, 0x0A, 0x01, 0x03};
// emptyAuth [0] EXPLICIT BOOLEAN FALSE
constexpr std::array<std::uint8_t, 5> kHasAuth = {0xA0, 0x03, 0x01, 0x01, 0x00};

constexpr std::uint8_t kSequence = 0x30;
constexpr std::uint8_t kInteger = 0x02;
constexpr std::uint8_t kOctets = 0x04;

// Lengths up to 65535: more than a key has.
void append(Bytes& out, std::uint8_t tag, ByteView content) {
  out.push_back(tag);
  if (content.size() > 0xFF) {
    out.insert(out.end(), {0x82, static_cast<std::uint8_t>(content.size() >> 8)});
  } else if (content.size() > 0x7F) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(content.size()));
  out.insert(out.end(), content.begin(), content.end());
}

// Reads what append() writes, front to back; `ok` turns false for ever at the first surprise.
struct Reader {
  ByteView rest;
  bool ok = true;

  ByteView take(std::size_t size) {
    if (!ok || size > rest.size()) {
      ok = false;
      return {};
    }
    const ByteView taken = rest.first(size);
    rest = rest.subspan(size);
    return taken;
  }
  std::size_t byte() {
    const ByteView one = take(1);
    return one.empty() ? 0 : one[0];
  }
  ByteView element(std::uint8_t tag) {
    if (byte() != tag) ok = false;
    std::size_t size = byte();
    if (size == 0x81) {
      size = byte();
    } else if (size == 0x82) {
      size = byte() << 8;
      size |= byte();
    } else if (size > 0x7F) {
      ok = false;
    }
    return take(size);
  }
  void expect(ByteView bytes) {
    const ByteView found = take(bytes.size());
    if (!std::equal(found.begin(), found.end(), bytes.begin(), bytes.end())) ok = false;
  }
};

struct PemParts {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  ~PemParts() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
};

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

}  // namespace

std::string to_pem(const Wrapped& key, TPM2_HANDLE parent) {
  Bytes body(kLoadable.begin(), kLoadable.end());
  body.insert(body.end(), kHasAuth.begin(), kHasAuth.end());
  Bytes number;  // DER: unsigned needs a leading zero when the top bit is set
  if ((parent & 0x80000000U) != 0) number.push_back(0);
  for (const int shift : {24, 16, 8, 0})
    number.push_back(static_cast<std::uint8_t>(parent >> shift));
  append(body, kInteger, number);
  append(body, kOctets, marshal(key.area));
  append(body, kOctets, marshal(key.blob));
  Bytes der;
  append(der, kSequence, body);

  const Bio out(BIO_new(BIO_s_mem()), BIO_free);
  if (!out || PEM_write_bio(out.get(), kLabel, "", der.data(), static_cast<long>(der.size())) <= 0)
    throw std::bad_alloc();
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Outcome<Wrapped> from_pem(ByteView text) {
  const Fault malformed{Kind::failed,
                        fail(Errc::malformed, "read a TSS2 PRIVATE KEY file: malformed",
                             "restore state_dir/keys from a backup, or move it away to re-enrol")};
  if (text.size() > limits::kKeyFile) return malformed;
  const Bio in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
  PemParts pem;
  if (!in || PEM_read_bio(in.get(), &pem.name, &pem.header, &pem.data, &pem.size) != 1 ||
      std::string_view(pem.name) != kLabel)
    return malformed;
  Reader outer{{pem.data, static_cast<std::size_t>(pem.size)}};
  Reader inner{outer.element(kSequence)};
  inner.expect(kLoadable);
  inner.expect(kHasAuth);
  inner.element(kInteger);
  const ByteView area = inner.element(kOctets);
  const ByteView blob = inner.element(kOctets);
  if (!outer.ok || !inner.ok || !outer.rest.empty() || !inner.rest.empty()) return malformed;
  auto public_area = unmarshal_public(area);
  auto private_blob = unmarshal_private(blob);
  if (!public_area || !private_blob) return malformed;
  return Wrapped{*public_area, *private_blob};
}

}  // namespace badged::keystore::tpm
