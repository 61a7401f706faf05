#include "attest/tpm/qualified_name.h"

#include "attest/tpm/digest.h"
#include "attest/tpm/reader.h"

namespace badged::attest::tpm {

namespace {

Result<Bytes> qualify(ByteView parent, const Bytes& name) {
  const EVP_MD* hash =
      name.size() > 2 ? accepted_digest(static_cast<Alg>(Reader(name).u16())) : nullptr;
  if (hash == nullptr) return fail(Errc::refused, "compute a qualified Name: the Name is none");
  Bytes message(parent.begin(), parent.end());
  message.insert(message.end(), name.begin(), name.end());
  Bytes out(2 + static_cast<std::size_t>(EVP_MD_get_size(hash)));
  std::copy_n(name.begin(), 2, out.begin());
  if (EVP_Digest(message.data(), message.size(), out.data() + 2, nullptr, hash, nullptr) != 1)
    return fail(Errc::internal, "compute a qualified Name: OpenSSL fails");
  return out;
}

}  // namespace

std::string_view to_string(Hierarchy hierarchy) {
  switch (hierarchy) {
    case Hierarchy::owner:
      return "owner";
    case Hierarchy::null:
      return "null";
    case Hierarchy::endorsement:
      return "endorsement";
    case Hierarchy::platform:
      return "platform";
  }
  return "unknown";
}

// The Name of a hierarchy is its handle.
Result<Bytes> qualified_name_of_primary(Hierarchy hierarchy, const Bytes& name) {
  const auto handle = static_cast<std::uint32_t>(hierarchy);
  std::array<std::uint8_t, 4> parent;
  for (std::size_t i = 0; i < parent.size(); ++i)
    parent[i] = static_cast<std::uint8_t>(handle >> (24 - 8 * i));
  return qualify(parent, name);
}

Result<Bytes> qualified_name_of_child(const Bytes& parent_qualified_name, const Bytes& name) {
  return qualify(parent_qualified_name, name);
}

std::optional<Hierarchy> primary_in(const Bytes& name, const Bytes& qualified_name) {
  for (const auto hierarchy :
       {Hierarchy::endorsement, Hierarchy::owner, Hierarchy::platform, Hierarchy::null}) {
    auto computed = qualified_name_of_primary(hierarchy, name);
    if (computed && *computed == qualified_name) return hierarchy;
  }
  return std::nullopt;
}

}  // namespace badged::attest::tpm
