#include "attest/evidence/state.h"

#include <charconv>

#include "attest/jose/base64url.h"
#include "attest/json/strict.h"
#include "attest/limits.h"
#include "keystore/files.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

// Numbers of 64 bits stand as text: JSON readers elsewhere make doubles of them.
constexpr std::string_view kFormat = "badged-tpm-state 1";

Rejection broken(const std::string& path, std::string_view why) {
  return reject(Reason::state_broken,
                std::string("use the state file ").append(path).append(": ").append(why),
                "name a file of your own in a directory of your own; a new one starts afresh");
}

Rejection went_back(Findings& findings, std::string_view what, std::uint64_t seen,
                    std::uint64_t now) {
  return findings.fail(
      "state",
      reject(Reason::went_back,
             std::string("compare the TPM with what was seen before: its ").append(what) +
                 " went back",
             "the evidence is old, or the TPM was cleared or exchanged"),
      std::to_string(seen) + " -> " + std::to_string(now));
}

template <class Number>
bool read_number(const json::object& from, std::string_view name, Number& into) {
  const auto text = string_member(from, name, "the state");
  if (!text) return false;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), into);
  return ec == std::errc() && end == text->data() + text->size();
}

bool read_digest(const json::object& from, std::string_view name, Digest& into) {
  const auto text = string_member(from, name, "the state");
  return text && decode_base64url(*text, into);
}

std::optional<TpmState> read_state(const json::object& from) {
  TpmState state;
  const bool good = read_digest(from, "ak", state.ak) && read_digest(from, "quote", state.quote) &&
                    read_number(from, "clock", state.clock) &&
                    read_number(from, "reset_count", state.reset_count) &&
                    read_number(from, "restart_count", state.restart_count) &&
                    read_number(from, "firmware_version", state.firmware_version);
  return good ? std::optional(state) : std::nullopt;
}

std::string write_state(const TpmState& state) {
  std::string out = "{\"format\":";
  append_json_string(out, kFormat);
  const auto add = [&](std::string_view name, const std::string& text) {
    out.append(",\n \"").append(name).append("\":");
    append_json_string(out, text);
  };
  add("ak", base64url(state.ak));
  add("quote", base64url(state.quote));
  add("clock", std::to_string(state.clock));
  add("reset_count", std::to_string(state.reset_count));
  add("restart_count", std::to_string(state.restart_count));
  add("firmware_version", std::to_string(state.firmware_version));
  return out += "}\n";
}

}  // namespace

TpmState TpmState::of(const tpm::AttestationKey& ak, const tpm::VerifiedQuote& quote) {
  const tpm::Attest& attest = quote.attest();
  return {.ak = ak.fingerprint(),
          .quote = quote.digest(),
          .clock = attest.clock.clock,
          .reset_count = attest.clock.reset_count,
          .restart_count = attest.clock.restart_count,
          .firmware_version = attest.firmware_version};
}

Checked<void> compare_state(const TpmState& seen, const TpmState& now, bool clock_is_safe,
                            Findings& findings) {
  if (seen.ak != now.ak)
    return findings.fail("state",
                         reject(Reason::binding,
                                "compare the TPM with what was seen before: the state file is "
                                "about another attestation key",
                                "one file remembers one host"));
  if (seen.quote == now.quote)
    return findings.fail("state", reject(Reason::replayed,
                                         "compare the TPM with what was seen before: this very "
                                         "quote was accepted already",
                                         "a challenge is used once"));
  if (now.reset_count < seen.reset_count)
    return went_back(findings, "reset count", seen.reset_count, now.reset_count);
  const bool same_reset = now.reset_count == seen.reset_count;
  if (same_reset && now.restart_count < seen.restart_count)
    return went_back(findings, "restart count", seen.restart_count, now.restart_count);
  const bool same_restart = same_reset && now.restart_count == seen.restart_count;
  if ((same_restart || clock_is_safe) && now.clock < seen.clock)
    return went_back(findings, "clock", seen.clock, now.clock);
  return {};
}

Checked<StateFile> StateFile::open(std::string path, std::chrono::milliseconds patience) {
  auto locked = LockedFile::open(path, patience);
  if (!locked) return open_refused(locked.error(), broken(path, locked.error().what));
  StateFile file(std::move(path), std::move(*locked));
  auto text = file.file_.read(kStateBytes);
  if (!text) return broken(file.path_, text.error().what);
  if (text->empty()) return file;  // new, or made by a run that ended before it accepted anything
  auto document = parse_strict_object(*text, {.bytes = kStateBytes, .depth = 1});
  if (!document) return broken(file.path_, document.error().what);
  const auto format = string_member(*document, "format", "the state");
  if (!format || *format != kFormat) return broken(file.path_, "not a state file of this version");
  file.seen_ = read_state(*document);
  if (!file.seen_) return broken(file.path_, "damaged");
  return file;
}

Checked<void> StateFile::replace(const TpmState& now) && {
  const LockedFile held = std::move(file_);
  if (held.fd() < 0) return broken(path_, "it was used already, and its lock is gone");
  const std::string text = write_state(now);
  auto written = keystore::write_private_file(path_, as_bytes(text));
  if (!written) return broken(path_, written.error().what);
  return {};
}

}  // namespace badged::attest
