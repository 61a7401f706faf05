#include "keystore/tpm/sealed.h"

#include <algorithm>

namespace badged::keystore::tpm {

namespace {

constexpr std::array<std::uint8_t, 3> kMagic = {'B', 'S', 'L'};
constexpr std::uint8_t kVersion = 1;

Fault malformed(const char* why) {
  return {Kind::refused, fail(Errc::malformed, std::string("read a sealed secret: ") + why)};
}

void append(Bytes& blob, const Bytes& part) {
  blob.push_back(static_cast<std::uint8_t>(part.size() >> 8));
  blob.push_back(static_cast<std::uint8_t>(part.size()));
  blob.insert(blob.end(), part.begin(), part.end());
}

std::optional<ByteView> take(ByteView& rest) {
  if (rest.size() < 2) return std::nullopt;
  const std::size_t size = std::size_t{rest[0]} << 8 | rest[1];
  if (rest.size() - 2 < size) return std::nullopt;
  const ByteView part = rest.subspan(2, size);
  rest = rest.subspan(2 + size);
  return part;
}

}  // namespace

Bytes to_blob(const Wrapped& sealed) {
  Bytes blob(kMagic.begin(), kMagic.end());
  blob.push_back(kVersion);
  append(blob, marshal(sealed.area));
  append(blob, marshal(sealed.blob));
  return blob;
}

Outcome<Wrapped> from_blob(ByteView blob) {
  if (blob.size() > limits::kSealedBlob) return malformed("too large");
  if (blob.size() < 4 || !std::equal(kMagic.begin(), kMagic.end(), blob.begin()))
    return malformed("not one of ours");
  if (blob[3] != kVersion) return malformed("of another version of badged, or of another store");
  ByteView rest = blob.subspan(4);
  const auto area = take(rest);
  const auto secret = take(rest);
  if (!area || !secret || !rest.empty()) return malformed("cut or edited");
  auto public_area = unmarshal_public(*area);
  auto private_blob = unmarshal_private(*secret);
  if (!public_area || !private_blob) return malformed("cut or edited");
  return Wrapped{*public_area, *private_blob};
}

}  // namespace badged::keystore::tpm
