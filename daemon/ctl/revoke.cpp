// badgectl revoke: ends a token, a session or all that an agent has, and prints what ended.
#include "daemon/ctl/verbs.h"

namespace badged::ctl {
namespace {

std::string ended_text(const boost::json::object& answer) {
  const auto what = text_at(answer, "revoked");
  auto text = "revoked " + what + ' ' + text_at(answer, what);
  const auto agent = text_at(answer, "agent");
  if (what != "agent" && !agent.empty()) text += " of " + agent;
  text += "\nended: " + counted(answer, "tokens") + ", " + counted(answer, "sessions") + ", " +
          counted(answer, "keys") + ", in " + text_at(answer, "took_ms") + " ms";
  const auto before = text_at(answer, "already_revoked");
  if (!before.empty() && before != "0") text += "\nrevoked before: " + before;
  const auto epoch = text_at(answer, "epoch");
  if (!epoch.empty()) text += "\nepoch: " + epoch + "; while its record stands it gets new tokens";
  return text + "\ntxn: " + text_at(answer, "txn");
}

}  // namespace

Outcome revoke(const Options& options) {
  std::string form = "agent=" + percent_encode(options.name);
  if (!options.jti.empty()) form = "jti=" + percent_encode(options.jti);
  if (!options.session.empty()) form = "session=" + percent_encode(options.session);
  Attempt<Client> client = admin_client(options);
  if (client.has_error()) return client.error();
  auto answer = call(client.value(),
                     {"POST", "/v1/revoke", "application/x-www-form-urlencoded", form, false});
  if (answer.has_error()) return answer.error();
  std::string text = ended_text(answer.value());
  return Answer{std::move(answer.value()), text};
}

}  // namespace badged::ctl
