// What anyone may have: keys, metadata, and who this host is.
#include <boost/json.hpp>

#include "daemon/audit/line.h"
#include "daemon/calls/answers.h"
#include "daemon/calls/pem.h"
#include "daemon/calls/table.h"
#include "daemon/tokens/limits.h"

namespace badged::calls {

using boost::asio::awaitable;

awaitable<front::Response> jwks(Context context) {
  front::Response response;
  response.body = context.service.publisher.jwks();
  response.content_type = "application/jwk-set+json";
  response.max_age = static_cast<int>(context.service.config.tokens.jwks_cache.count());
  response.correlation_id = context.exchange.correlation_id;
  co_return response;
}

awaitable<front::Response> metadata(Context context) {
  front::Response response;
  response.body = context.service.publisher.metadata();
  response.max_age = static_cast<int>(context.service.config.tokens.jwks_cache.count());
  response.correlation_id = context.exchange.correlation_id;
  co_return response;
}

// draft-ietf-oauth-status-list 8.1: the whole list; the same bytes as the published file.
awaitable<front::Response> status_list(Context context) {
  const auto& list = context.service.revocations.list();
  if (list.empty()) {
    const auto none = fail(Errc::unavailable, "answer the status list: none is signed yet");
    co_return problem(unavailable(none), context.exchange.correlation_id);
  }
  front::Response response;
  response.body = list;
  response.content_type = "application/statuslist+jwt";
  response.max_age = 1;  // a copy kept longer hides what was revoked since
  response.correlation_id = context.exchange.correlation_id;
  co_return response;
}

awaitable<front::Response> identity(Context context) {
  const auto identity = context.service.store.identity();
  if (!identity) co_return problem(unavailable(identity.error()), context.exchange.correlation_id);
  boost::json::object out{{"ak_pem", public_key_pem(identity->ak)},
                          {"ak_name", audit::to_hex(identity->ak_name)},
                          {"custody", keystore::to_string(identity->custody)},
                          {"manufacturer", identity->manufacturer},
                          {"firmware", identity->firmware}};
  out["ak_public"] = nullptr;
  if (!identity->ak_public_area.empty()) out["ak_public"] = audit::to_hex(identity->ak_public_area);
  out["ek_certificate"] = nullptr;
  if (!identity->ek_certificate.empty())
    out["ek_certificate"] = certificate_pem(identity->ek_certificate);
  co_return answer(boost::json::serialize(out), context.exchange.correlation_id);
}

}  // namespace badged::calls
