#include "attest/evidence/records.h"

#include <boost/json/array.hpp>

#include "attest/jose/base64url.h"
#include "attest/limits.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

struct Bound {
  RecordKind kind;
  std::size_t bytes;
};
constexpr Bound kBounds[] = {{kQuoteAttest, kTpmStructureBytes},
                             {kQuoteSignature, kTpmStructureBytes},
                             {kPcrs, kPcrsBytes},
                             {kIssuerPublic, kTpmStructureBytes},
                             {kIssuerAttest, kTpmStructureBytes},
                             {kIssuerSignature, kTpmStructureBytes},
                             {kPopPublic, kTpmStructureBytes},
                             {kPopAttest, kTpmStructureBytes},
                             {kPopSignature, kTpmStructureBytes},
                             {kAkPublic, kTpmStructureBytes},
                             {kEkPublic, kTpmStructureBytes},
                             {kEkChain, kEkChainBytes},
                             {kEventLog, kEventLogBytes},
                             {kImaLog, kImaLogBytes}};

// RFC 9999: names the collection's type, which eat_profile has said already.
constexpr std::string_view kCollectionType = "__cmwc_t";

const Bound* bound_of(std::string_view label) {
  for (const auto& bound : kBounds)
    if (bound.kind.label == label) return &bound;
  return nullptr;
}

Error wrong(std::string_view label, std::string_view why) {
  return fail(Errc::malformed,
              std::string("read the evidence: record ").append(label).append(": ").append(why));
}

// The base64url text of a record of ours.
Result<std::string_view> content_of(const Bound& bound, const json::value& value) {
  const auto& label = bound.kind.label;
  if (!value.is_array()) return wrong(label, "not an array");
  const auto& array = value.get_array();
  if (array.size() < 2 || array.size() > 3 || !array[0].is_string() || !array[1].is_string())
    return wrong(label, "not a media type and base64url");
  if (array[0].get_string() != bound.kind.media_type) return wrong(label, "another media type");
  if (array.size() == 3 && (!array[2].is_int64() || array[2].get_int64() != bound.kind.indicator))
    return wrong(label, "another indicator");
  const std::string_view text = array[1].get_string();
  if (text.empty()) return wrong(label, "empty");
  if (text.size() > base64url_length(bound.bytes)) return wrong(label, "larger than allowed");
  return text;
}

}  // namespace

Result<Records> Records::parse(const json::object& collection) {
  Records out;
  out.records_.reserve(std::size(kBounds));
  for (const auto& [label, value] : collection) {
    const Bound* bound = bound_of(label);
    if (bound == nullptr) {
      if (label != kCollectionType) out.unknown_.emplace_back(label);
      continue;
    }
    auto text = content_of(*bound, value);
    if (!text) return text.error();
    if (bound->kind.label == kEventLog.label)
      out.event_log_size_ = text->size() / 4 * 3;
    else if (bound->kind.label == kImaLog.label)
      out.ima_log_size_ = text->size() / 4 * 3;
    else {
      auto content = decode_base64url(*text, bound->bytes);
      if (!content) return wrong(bound->kind.label, content.error().what);
      out.records_.push_back({bound->kind.label, std::move(*content)});
    }
  }
  return out;
}

const Bytes& Records::operator[](const RecordKind& kind) const {
  static const Bytes none;
  for (const auto& record : records_)
    if (record.label == kind.label) return record.content;
  return none;
}

}  // namespace badged::attest
