#include "daemon/calls/subject.h"

#include <algorithm>

#include "attest/jose/base64url.h"
#include "attest/jose/dpop.h"
#include "attest/jose/subject_token.h"
#include "attest/jose/url.h"
#include "daemon/calls/authorization_details.h"
#include "daemon/calls/own_token.h"
#include "daemon/policy/scope.h"
#include "daemon/tokens/spiffe_id.h"
#include "keystore/sha256.h"

namespace badged::calls {
namespace {

using attest::Reason;
using policy::Side;
using Refused = std::optional<SubjectRefusal>;

SubjectRefusal from_check(const attest::Rejection& rejection, std::string_view what,
                          Side by = Side::subject) {
  std::string reason = std::string(what) + '-' + attest::to_string(rejection.reason);
  std::replace(reason.begin(), reason.end(), '_', '-');
  return {by, std::move(reason), rejection.what, rejection.hint};
}

SubjectRefusal by_record(std::string reason, std::string description, std::string hint) {
  return {Side::record, std::move(reason), std::move(description), std::move(hint)};
}

// A token of this issuer: signed by a key of this host, and not expired.
attest::Checked<attest::VerifiedToken> verify_ours(Service& service, std::string_view token) {
  const auto* verifier = service.publisher.verifier();
  if (verifier == nullptr)
    return attest::reject(Reason::unknown_key, "check the token: no key is published yet");
  return verifier->verify_as_issuer(token, service.host.issuer, unix_now());
}

// The place of a verified token that still counts: not revoked, its epoch its agent's, and its
// session lives.
std::optional<tokens::Ledger::Token> active_place(Service& service,
                                                  const attest::VerifiedToken& token) {
  auto place = place_of(service, token);
  if (place && !is_active(service, token, *place)) place.reset();
  return place;
}

class SubjectCheck {
 public:
  SubjectCheck(const Context& context, const SubjectAsk& ask)
      : service_(context.service),
        record_(*context.caller->record),
        ask_(ask),
        self_(tokens::subject(service_.host, record_.name)),
        session_(service_.sessions.find(*context.exchange.process, record_)) {}

  std::variant<Subject, SubjectRefusal> run() {
    auto refusal = verify();
    if (!refusal && !own_) refusal = check_delegation();
    if (!refusal) refusal = check_actor();
    if (!refusal) refusal = read_bounds();
    if (!refusal && !own_) refusal = check_proof();
    // It was good when its signature was checked, and that takes a while.
    const auto left = out_.expires_at - unix_now();
    if (!refusal && left <= 0) refusal = subject_expired();
    if (refusal) return *std::move(refusal);
    out_.bounds.lifetime = std::chrono::seconds(left);
    return std::move(out_);
  }

 private:
  // Fills token_ and own_. Which issuer's it is, the key says: nothing of a payload is read first.
  Refused verify() {
    const auto unverified = attest::UnverifiedSubject::parse(ask_.token);
    if (!unverified) return from_check(unverified.error(), "subject");
    if (unverified->typ() == "at+jwt") {
      const auto ours = verify_ours(service_, ask_.token);
      // Another issuer's may be longer than ours, of another algorithm, and write its typ
      // otherwise.
      const bool not_ours =
          !ours &&
          (ours.error().reason == Reason::unknown_key || ours.error().reason == Reason::type ||
           ours.error().reason == Reason::algorithm || ours.error().reason == Reason::too_large);
      if (ours) return take_ours(*ours);
      if (!not_ours) return from_check(ours.error(), "subject");
    }
    const auto& issuers = *service_.policy.subject_issuers;
    auto foreign = issuers.verify(ask_.token, service_.host.issuer, unix_now());
    if (!foreign) return from_check(foreign.error(), "subject");
    token_ = std::move(*foreign);
    issuer_ = token_.issuer;
    return refuse_names_of_ours();
  }

  // Agents have their names from this issuer: another one that writes them, as the subject or into
  // a chain, would splice its token to a chain of ours.
  Refused refuse_names_of_ours() const {
    auto refusal = refuse_name(token_.subject);
    for (const auto& actor : token_.actors) {
      if (!refusal) refusal = refuse_name(actor.subject);
      if (!refusal && is_this_issuer(actor.issuer))
        refusal = spliced("the subject token has an actor that this issuer would have named");
    }
    return refusal;
  }

  // What reads like a SPIFFE ID must be one: only then is its trust domain surely another.
  Refused refuse_name(std::string_view name) const {
    if (!tokens::looks_like_spiffe_id(name)) return std::nullopt;
    const auto domain = tokens::trust_domain_of(name);
    if (!domain)
      return spliced("the subject token has a name that begins with spiffe: and is no SPIFFE ID");
    if (*domain == service_.host.trust_domain)
      return spliced("the subject token names an agent of this trust domain");
    return std::nullopt;
  }

  // Other writings of the same URL, too.
  bool is_this_issuer(const std::string& issuer) const {
    if (issuer == service_.host.issuer) return true;
    const auto theirs = attest::normalise_htu(issuer);
    const auto ours = attest::normalise_htu(service_.host.issuer);
    return theirs && ours && *theirs == *ours;
  }

  static SubjectRefusal spliced(std::string description) {
    return {Side::subject, "subject-spliced", std::move(description),
            "only badged names agents: hand on the token that badged issued"};
  }

  Refused take_ours(const attest::VerifiedToken& token) {
    auto read = attest::read_subject(token.claims);
    if (!read) return from_check(read.error(), "subject");
    token_ = std::move(*read);
    token_.expires_at = token.expires_at;
    // Whether the host is this one, the key has said; the name must not say otherwise.
    const auto& acting = token_.actors.empty() ? token_.subject : token_.actors.front().subject;
    if (acting != tokens::subject(service_.host, token.client_id))
      return SubjectRefusal{
          Side::subject, "subject-other-host", "the subject token is of another host", {}};
    const auto place = active_place(service_, token);
    if (!place) return subject_ended();
    out_.standing = SubjectStanding{place->index, place->authority->session};
    if (token.audience != service_.host.issuer) out_.bounds.audience = token.audience;
    const auto* ours = token.claims.if_contains("badged");
    const auto* issuer =
        ours == nullptr ? nullptr : ours->as_object().if_contains("subject_issuer");
    issuer_ = issuer != nullptr && issuer->is_string() ? std::string(issuer->as_string())
                                                       : service_.host.issuer;
    own_ = session_ != nullptr && token.badged->session == session_->id();
    if (own_) return std::nullopt;
    handed_on_ = true;
    if (out_.bounds.audience)
      return SubjectRefusal{
          Side::subject, "subject-audience",
          "the subject token is another process's and not for this issuer",
          "the agent that hands on asks for a token whose audience is " + service_.host.issuer};
    if (!token.bound())
      return SubjectRefusal{Side::subject, "subject-unbound",
                            "the subject token is another process's and bound to no key",
                            "only bound tokens can be handed on"};
    return std::nullopt;
  }

  Refused check_delegation() const {
    const auto lists = [&](const std::string& issuer) {
      return std::find(record_.act_for.begin(), record_.act_for.end(), issuer) !=
             record_.act_for.end();
    };
    // Who takes what an agent hands on also acts for the person that it is about.
    if (!lists(issuer_) || (handed_on_ && !lists(service_.host.issuer)))
      return by_record("subject-issuer-not-listed",
                       "the record does not let this agent act for subjects of that issuer",
                       "an admin lists the issuer under `act_for` in the agent's record");
    if (!may_act())
      return SubjectRefusal{Side::subject, "subject-may-act",
                            "the subject token names somebody else as the one who may act",
                            "its `may_act` must be met by sub " + self_ + ", client_id " +
                                record_.name + ", iss " + service_.host.issuer};
    if (token_.actors.size() >= attest::kMaxActors)
      return SubjectRefusal{
          Side::subject, "subject-chain-too-long", "the chain of actors would be too long",
          "at most " + std::to_string(attest::kMaxActors) + " act one for another"};
    return std::nullopt;
  }

  bool may_act() const {
    if (!token_.may_act) return true;
    const auto holds = [](const std::string& wanted, const std::string& is) {
      return wanted.empty() || wanted == is;
    };
    const auto& wanted = *token_.may_act;
    return holds(wanted.subject, self_) && holds(wanted.issuer, service_.host.issuer) &&
           holds(wanted.client_id, record_.name);
  }

  // RFC 9449 4.3 for the bound token: made by its key, for this issuer's token endpoint. Whether it
  // was used before is asked last of all (exchange.cpp): who is refused uses no proof up.
  Refused check_proof() {
    if (token_.jkt.empty() && ask_.proof.empty()) return std::nullopt;
    if (ask_.proof.empty())
      return SubjectRefusal{Side::subject, "subject-no-proof",
                            "the subject token is bound to a key and came without its proof",
                            "who holds the key makes a DPoP proof for POST " +
                                service_.host.issuer +
                                "/v1/token with ath: send it as subject_token_proof"};
    const auto endpoint = service_.host.issuer + "/v1/token";
    attest::ProofExpectation expect{.method = "POST",
                                    .url = endpoint,
                                    .access_token = ask_.token,
                                    .jkt = token_.jkt,
                                    .nonce = {},
                                    .now = unix_now()};
    auto proof = attest::verify_proof(ask_.proof, expect, nullptr);
    if (!proof) return from_check(proof.error(), "subject-proof");
    out_.proof = std::move(*proof);
    return std::nullopt;
  }

  // The actor is the process. A token that says the same changes nothing but the lifetime; one that
  // acts for somebody, or is another's, is a chain of its own and must not be tied to this one.
  Refused check_actor() {
    out_.expires_at = token_.expires_at;
    if (!ask_.actor_token) return std::nullopt;
    const auto actor = verify_ours(service_, *ask_.actor_token);
    if (!actor) return from_check(actor.error(), "actor", Side::request);
    const bool own = session_ != nullptr && actor->badged &&
                     actor->badged->session == session_->id() && actor->subject == self_ &&
                     !actor->claims.contains("act");
    if (!own)
      return SubjectRefusal{Side::request, "actor-spliced",
                            "the actor token is not this process's own",
                            "leave actor_token out: the actor is the process that asks"};
    if (!active_place(service_, *actor))
      return SubjectRefusal{Side::request, "actor-ended",
                            "the actor token's session has ended, or it was revoked",
                            "leave actor_token out: the actor is the process that asks"};
    out_.expires_at = std::min(out_.expires_at, actor->expires_at);
    return std::nullopt;
  }

  Refused read_bounds() {
    auto& words = out_.bounds.scope;
    words = policy::split_scope(token_.scope);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    if (!token_.authorization_details.empty()) {
      auto details = parse_authorization_details(token_.authorization_details);
      if (!details)
        return SubjectRefusal{
            Side::subject, "subject-details", "the subject token: " + details.error().what, {}};
      out_.bounds.details = std::move(*details);
    }
    out_.issuer = issuer_;
    out_.jti_sha256 =
        attest::base64url(keystore::sha256(as_bytes(token_.jti.empty() ? ask_.token : token_.jti)));
    set_delegation();
    return std::nullopt;
  }

  void set_delegation() {
    // A token of one's own keeps whom it acts for; anybody else's gets this agent on top.
    if (own_ && token_.actors.empty()) return;
    tokens::Delegation delegation{token_.subject, issuer_, token_.actors, token_.may_act};
    if (!own_) delegation.actors.insert(delegation.actors.begin(), {self_, {}});
    out_.delegation = std::move(delegation);
  }

  Service& service_;
  const agents::Record& record_;
  const SubjectAsk& ask_;
  const std::string self_;
  const tokens::SessionPtr session_;
  attest::SubjectToken token_;
  std::string issuer_;      // who named the subject
  bool own_ = false;        // issued to this very session
  bool handed_on_ = false;  // of this issuer, by another process
  Subject out_;
};

}  // namespace

SubjectRefusal subject_ended() {
  return {Side::subject, "subject-ended", "the token's session has ended, or it was revoked",
          "the agent that it was issued to asks for a new one"};
}

SubjectRefusal subject_expired() {
  return {Side::subject, "subject-expired", "the subject token has expired meanwhile",
          "get a new one from its issuer"};
}

SubjectRefusal subject_proof_replayed() {
  return {Side::subject, "subject-proof-replayed",
          "check the proof: it was used before, or may have been",
          "make a new proof for each request"};
}

boost::asio::awaitable<front::Response> refuse_subject(Context context, SubjectRefusal refused) {
  const Problem refusal{400,
                        "invalid_request",
                        std::move(refused.description),
                        std::move(refused.hint),
                        0,
                        policy::to_string(refused.by)};
  co_return co_await deny(context, "denial", refused.reason, refusal.description, refusal);
}

bool has_ended(Service& service, const SubjectStanding& subject) {
  return service.revocations.revoked(subject.status_index) ||
         service.sessions.find(subject.session) == nullptr;
}

std::variant<Subject, SubjectRefusal> check_subject(const Context& context, const SubjectAsk& ask) {
  return SubjectCheck(context, ask).run();
}

}  // namespace badged::calls
