// A bounded reader of big endian structures. After the first failure every read gives nothing, so a
// parser reads like its schema and asks once at the end.
#pragma once

#include <string_view>

#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::attest::tpm {

class Reader {
 public:
  explicit Reader(ByteView bytes) : left_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }

  // A TPM2B: 16 bits of size, then the content, at most `max` bytes.
  Bytes sized(std::size_t max) {
    const std::size_t size = u16();
    if (size > max) return refuse("a sized field is larger than its type allows"), Bytes();
    const ByteView content = take(size);
    return Bytes(content.begin(), content.end());
  }

  ByteView take(std::size_t size) {
    if (size > left_.size()) return refuse("the structure ends too early"), ByteView();
    const ByteView taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }

  void refuse(std::string_view why, Errc code = Errc::malformed) {
    if (why_.empty()) {
      why_ = why;
      code_ = code;
    }
    left_ = {};
  }
  void require(bool condition, std::string_view why) {
    if (!condition) refuse(why);
  }

  bool failed() const { return !why_.empty(); }

  // Ok when all was well and nothing is left.
  Result<void> finish(std::string_view what) {
    require(left_.empty(), "bytes follow the structure");
    if (why_.empty()) return ok();
    return fail(code_, std::string("read ").append(what).append(": ").append(why_));
  }

 private:
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(size)) value = value << 8 | byte;
    return value;
  }

  ByteView left_;
  std::string_view why_;
  Errc code_ = Errc::malformed;
};

}  // namespace badged::attest::tpm
