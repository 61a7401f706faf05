#include "keystore/quote.h"

#include <algorithm>

namespace badged::keystore {

const char* to_string(Bank bank) {
  switch (bank) {
    case Bank::sha1:
      return "sha1";
    case Bank::sha256:
      return "sha256";
    case Bank::sha384:
      return "sha384";
    case Bank::sha512:
      return "sha512";
  }
  return "unknown";
}

std::optional<Bank> bank_named(std::string_view name) {
  for (const Bank bank : kBanks)
    if (name == to_string(bank)) return bank;
  return std::nullopt;
}

std::size_t digest_size(Bank bank) {
  switch (bank) {
    case Bank::sha1:
      return 20;
    case Bank::sha256:
      return 32;
    case Bank::sha384:
      return 48;
    case Bank::sha512:
      return 64;
  }
  return 0;
}

Result<QuoteAsk> in_order(QuoteAsk ask) {
  auto& selection = ask.selection;
  if (selection.empty()) return fail(Errc::refused, "quote PCRs: none is selected");
  for (const auto& each : selection) {
    if (digest_size(each.bank) == 0) return fail(Errc::refused, "quote PCRs: no such bank");
    if (each.pcrs == 0)
      return fail(Errc::refused,
                  std::string("quote PCRs: none of bank ") + to_string(each.bank) + " is selected");
    if (each.pcrs >> kPcrs != 0)
      return fail(Errc::refused, "quote PCRs: they are numbered 0 to 23");
  }
  const auto order = [](const PcrSelection& a, const PcrSelection& b) { return a.bank < b.bank; };
  std::sort(selection.begin(), selection.end(), order);
  const auto same = [](const PcrSelection& a, const PcrSelection& b) { return a.bank == b.bank; };
  if (std::adjacent_find(selection.begin(), selection.end(), same) != selection.end())
    return fail(Errc::refused, "quote PCRs: a bank is selected twice");
  return ask;
}

}  // namespace badged::keystore
