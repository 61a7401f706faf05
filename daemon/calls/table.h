// The one table: which call, on which socket, for whom, and what answers it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <vector>

#include "daemon/calls/service.h"

namespace badged::calls {

enum class Who {
  anyone,  // public material: no record needed
  listed,  // the process matches a record
  admin,   // root, or a member of badged-admin; checked again at each call
};

// A caller of an admin verb, as the audit names it.
struct AdminPeer {
  std::uint32_t uid = 0;
  std::uint32_t login_uid = 0;  // who logged in before sudo; 4294967295: nobody did
};

struct Context {
  Service& service;
  const front::Exchange& exchange;
  const Admitted* caller = nullptr;  // Who::listed only
  std::optional<AdminPeer> admin;    // Who::admin only
};

using Handler = boost::asio::awaitable<front::Response> (*)(Context);

struct Row {
  front::CallShape shape;
  Who who;
  Handler handler;
};

std::span<const Row> table();
std::vector<front::CallShape> shapes();

// Runs the row of the request: who may, then the handler.
boost::asio::awaitable<front::Response> dispatch(Service& service, front::Exchange exchange);

// A connection or message that peers refused: the audit's record of it, and the answer.
boost::asio::awaitable<front::Response> refused(Service& service, peers::Refusal refusal,
                                                std::uint32_t uid, std::string correlation_id);

// The handlers, one file per subject.
boost::asio::awaitable<front::Response> token(Context context);
boost::asio::awaitable<front::Response> proof(Context context);
boost::asio::awaitable<front::Response> evidence(Context context);
boost::asio::awaitable<front::Response> evidence_of_host(Context context);
boost::asio::awaitable<front::Response> introspect(Context context);
boost::asio::awaitable<front::Response> revoke(Context context);
boost::asio::awaitable<front::Response> introspect_any(Context context);
boost::asio::awaitable<front::Response> revoke_any(Context context);
boost::asio::awaitable<front::Response> status_list(Context context);
boost::asio::awaitable<front::Response> whoami(Context context);
boost::asio::awaitable<front::Response> whoami_of(Context context);
boost::asio::awaitable<front::Response> jwks(Context context);
boost::asio::awaitable<front::Response> metadata(Context context);
boost::asio::awaitable<front::Response> identity(Context context);
boost::asio::awaitable<front::Response> status(Context context);
boost::asio::awaitable<front::Response> agents_list(Context context);
boost::asio::awaitable<front::Response> agents_show(Context context);
boost::asio::awaitable<front::Response> matrix(Context context);
boost::asio::awaitable<front::Response> reload(Context context);
boost::asio::awaitable<front::Response> audit_tail(Context context);

}  // namespace badged::calls
