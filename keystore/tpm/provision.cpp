#include "keystore/tpm/provision.h"

#include <openssl/crypto.h>

#include "keystore/files.h"
#include "keystore/tpm/endorsement.h"
#include "keystore/tpm/pem.h"

namespace badged::keystore::tpm {

namespace {

constexpr const char* kRecordFile = "provision.json";
constexpr const char* kAttestationFile = "attestation.pem";
constexpr const char* kIssuerFile = "issuer.pem";

// Files that cannot be used stop the store as a broken device would; the admin mends them.
Fault broken_files(const Error& error) {
  return Fault{Kind::failed, error};
}

Outcome<void> write(const std::filesystem::path& file, const std::string& text) {
  if (auto written = write_private_file(file, as_bytes(text)); !written)
    return broken_files(written.error());
  return {};
}

Outcome<Bytes> read(const std::filesystem::path& file) {
  auto content = read_private_file(file, limits::kKeyFile);
  if (!content) return broken_files(content.error());
  if (!*content)
    return fault(Kind::failed, "read " + file.string() + ": it is missing",
                 "restore state_dir/keys from a backup, or move it away to re-enrol");
  return std::move(**content);
}

Fault replaced(const char* which) {
  return fault(Kind::replaced, std::string("open the TPM: its ") + which +
                                   " is not the one of this host's provisioning: it was cleared or "
                                   "is another TPM");
}

Outcome<void> fill(Key& key, const Wrapped& wrapped, const std::string& auth) {
  auto public_key = public_key_of(wrapped.area.publicArea);
  if (!public_key) return public_key.error();
  key.public_blob = marshal(wrapped.area);
  key.private_blob = marshal(wrapped.blob);
  key.auth = auth;
  key.public_key = *public_key;
  return {};
}

bool is_storage_root(const TPMT_PUBLIC& area) {
  constexpr TPMA_OBJECT needed =
      TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  return (area.objectAttributes & needed) == needed;
}

}  // namespace

Outcome<std::unique_ptr<Machine>> Machine::open(std::unique_ptr<Device> device,
                                                const std::filesystem::path& directory) {
  std::unique_ptr<Machine> machine(new Machine(std::move(device), directory));
  machine->device_->allow(limits::kProvisioning);
  if (auto prepared = prepare_private_directory(directory); !prepared)
    return broken_files(prepared.error());
  auto content = read_private_file(directory / kRecordFile, limits::kKeyFile);
  if (!content) return broken_files(content.error());
  if (!*content) {
    if (auto made = machine->provision(); !made) return made.error();
    return machine;
  }
  auto record = from_json(**content);
  if (!record) return record.error();
  machine->record_ = std::move(*record);
  if (auto opened = machine->reopen(); !opened) return opened.error();
  return machine;
}

// The key at the standard handle. Where the handle is empty it is made: the same template gives the
// same key as long as the owner hierarchy was not cleared, so after provisioning the Name decides.
Outcome<Device::Loaded> Machine::storage_root(bool make_it) {
  auto there = device_->exists(kSrkHandle);
  if (!there) return there.error();
  if (*there) return device_->persistent(kSrkHandle);
  auto primary = create_primary(*device_, ESYS_TR_RH_OWNER, srk_template());
  if (!primary) return primary.error();
  if (!make_it && primary->name != record_.srk_name) {
    device_->flush(primary->handle);
    return replaced("storage root key");
  }
  return persist(*device_, *primary, kSrkHandle);
}

Outcome<void> Machine::provision() {
  auto srk = storage_root(true);
  if (!srk) return srk.error();
  if (!is_storage_root(srk->area.publicArea))
    return fault(Kind::failed, "use the key at 0x81000001: it is not a storage key",
                 "another program put it there; move it to another handle");
  record_.srk_name = srk->name;
  objects_ = std::make_unique<Objects>(*device_, srk->handle);
  auto ek = choose_endorsement_key(*device_);
  if (!ek) return ek.error();
  record_.endorsement = ek->id;
  record_.ek_name = ek->name;
  ek_certificate_ = ek->certificate;
  ek_public_area_ = marshal(ek->area.publicArea);
  if (auto started = objects_->start_sessions(); !started) return started;
  auto made = make_keys(ek->parent);
  if (made) made = load_keys(ek->parent);
  if (ek->transient) device_->flush(ek->parent.handle);
  if (!made) return made;
  // Last: from here on the keys exist.
  return write(directory_ / kRecordFile, to_json(record_));
}

Outcome<void> Machine::make_keys(const Parent& endorsement) {
  record_.ak_auth = new_auth();
  record_.issuer_auth = new_auth();
  record_.seal_auth = new_auth();
  auto ak = objects_->create(endorsement, attestation_template(), record_.ak_auth);
  if (!ak) return ak.error();
  auto issuer = objects_->create(objects_->srk(), signing_template(), record_.issuer_auth);
  if (!issuer) return issuer.error();
  auto ak_name = name_of(ak->area.publicArea);
  auto issuer_name = name_of(issuer->area.publicArea);
  if (!ak_name) return ak_name.error();
  if (!issuer_name) return issuer_name.error();
  record_.ak_name = *ak_name;
  record_.issuer_name = *issuer_name;
  if (auto filled = fill(attestation_, *ak, record_.ak_auth); !filled) return filled;
  if (auto filled = fill(issuer_, *issuer, record_.issuer_auth); !filled) return filled;
  const std::string ak_file = to_pem(*ak, TPM2_RH_ENDORSEMENT);
  if (auto written = write(directory_ / kAttestationFile, ak_file); !written) return written;
  return write(directory_ / kIssuerFile, to_pem(*issuer, kSrkHandle));
}

Outcome<void> Machine::reopen() {
  auto srk = storage_root(false);
  if (!srk) return srk.error();
  if (srk->name != record_.srk_name) return replaced("storage root key");
  objects_ = std::make_unique<Objects>(*device_, srk->handle);
  auto ek = open_endorsement_key(*device_, record_.endorsement);
  if (!ek) return ek.error();
  if (ek->name != record_.ek_name) return replaced("endorsement key");
  ek_certificate_ = ek->certificate;
  ek_public_area_ = marshal(ek->area.publicArea);
  if (auto started = objects_->start_sessions(); !started) return started;
  auto loaded = read_keys();
  if (loaded) loaded = load_keys(ek->parent);
  if (ek->transient) device_->flush(ek->parent.handle);
  return loaded;
}

Outcome<void> Machine::read_keys() {
  struct Kept {
    const char* file;
    const Bytes& name;
    const std::string& auth;
    Key& key;
  };
  for (const Kept& kept : {Kept{kAttestationFile, record_.ak_name, record_.ak_auth, attestation_},
                           Kept{kIssuerFile, record_.issuer_name, record_.issuer_auth, issuer_}}) {
    auto text = read(directory_ / kept.file);
    if (!text) return text.error();
    auto wrapped = from_pem(*text);
    if (!wrapped) return wrapped.error();
    auto name = name_of(wrapped->area.publicArea);
    if (!name) return name.error();
    if (*name != kept.name)
      return fault(Kind::failed,
                   "read " + (directory_ / kept.file).string() + ": not the key of the record",
                   "restore state_dir/keys from a backup, or move it away to re-enrol");
    if (auto filled = fill(kept.key, *wrapped, kept.auth); !filled) return filled;
  }
  return {};
}

Outcome<void> Machine::load_keys(const Parent& endorsement) {
  // The attestation key first: it needs both working slots, and is saved out of them.
  auto done = objects_->load(attestation_, endorsement);
  if (done) done = objects_->load(issuer_, objects_->srk(), true);
  if (!done && done.error().kind == Kind::refused)
    return fault(Kind::failed, done.error().error.what,
                 "restore state_dir/keys from a backup, or move it away to re-enrol");
  return done;
}

Outcome<void> Machine::create_session_key(Key& key) {
  std::string auth = new_auth();
  auto wrapped = objects_->create(objects_->srk(), signing_template(), auth);
  Outcome<void> done = wrapped ? fill(key, *wrapped, auth) : wrapped.error();
  OPENSSL_cleanse(auth.data(), auth.size());
  return done ? objects_->load(key, objects_->srk()) : done;
}

Outcome<Identity> Machine::identity() {
  auto ak = unmarshal_public(attestation_.public_blob);
  if (!ak) return ak.error();
  Identity identity;
  identity.ak = attestation_.public_key;
  identity.ak_public_area = marshal(ak->publicArea);
  identity.ak_name = record_.ak_name;
  identity.ek_certificate = ek_certificate_;
  auto chain = read_endorsement_chain(*device_);
  if (!chain) return chain.error();
  identity.ek_chain = std::move(*chain);
  identity.ek_public_area = ek_public_area_;
  identity.custody = Custody::tpm;
  auto maker = device_->property(TPM2_PT_MANUFACTURER);
  auto major = device_->property(TPM2_PT_FIRMWARE_VERSION_1);
  auto minor = device_->property(TPM2_PT_FIRMWARE_VERSION_2);
  if (!maker) return maker.error();
  if (!major) return major.error();
  if (!minor) return minor.error();
  for (const int shift : {24, 16, 8, 0}) {
    const char letter = static_cast<char>(*maker >> shift);
    if (letter > ' ' && letter <= '~') identity.manufacturer += letter;
  }
  const auto hex = [](UINT32 value) {
    return to_hex(std::array<std::uint8_t, 4>{
        static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
        static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)});
  };
  identity.firmware = hex(*major) + "." + hex(*minor);
  return identity;
}

}  // namespace badged::keystore::tpm
