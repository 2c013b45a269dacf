// Who may come, and by which connection: plain HTTP where TLS is expected, and
// what domains demand of their clients (docs/decisions/0011 and 0013).

#include <string>

#include "base/check.h"
#include "router/error_page.h"
#include "router/session.h"
#include "subscription/key.h"

namespace fealty::router {
namespace {

using subscription::ClientRule;

// The name that a pool's key is about, as identities are called.
std::string_view name_of(const subscription::Pool& pool) {
  return subscription::without_port(
      subscription::without_mountpoint(pool.key()));
}

// Whether a redirect need not say that the method stays.
bool is_fetch(const http::RequestHead& head) {
  return head.method == "GET" || head.is_head();
}

}  // namespace

// Before anything is looked up. False: answered.
bool Session::may_come(const http::RequestHead& head, const http::Host& host) {
  if (plain_on_tls_) {
    keep_alive_ = false;
    if (is_fetch(head) && !host.host().empty()) {
      redirect_to_https(head, host);
    } else {
      fail(400, "Plain HTTP was sent to a port that speaks HTTPS.");
    }
    return false;
  }
  if (listener_->redirect_to_https) {
    if (host.host().empty()) {
      fail(400, "A Host is needed.");
    } else {
      redirect_to_https(head, host);
    }
    return false;
  }
  return !has_rules() ||
         admit(admission_by(context_.tls.identities->find(host.host())), &head,
               &host);
}

// Whether there is any host that asks something of its clients.
bool Session::has_rules() const {
  return context_.tls.identities->with_policy() > 0 ||
         (is_secure() ? tls_.identity().policy() != nullptr ||
                            listener_->tls->fallback().policy() != nullptr
                      : context_.settings->https_default_demands);
}

// Of the key that answers; it may be about another name than the host: a
// wildcard above it. False: answered.
bool Session::may_reach(const http::RequestHead& head, const http::Host& host,
                        const subscription::Pool& pool) {
  const bool unruled = pool.client_rule() == ClientRule::kNone &&
                       (!has_rules() || name_of(pool) == host.host());
  return unruled || admit(admission_to(pool), &head, &host);
}

// The same for a held request, by the pool as it is now.
bool Session::may_still_reach() {
  const Admission admission = admission_to(*pool_);
  if (admission == Admission::kGranted) return true;
  if (head_.empty()) return admit(admission, nullptr, nullptr);
  http::RequestHead& head = context_.request;
  http::Host host{};
  const auto problem = parse_request({head_.data(), head_.size()});
  FEALTY_CHECK(problem.status == 0);  // as it was the first time
  static_cast<void>(http::normalise_host(asked_for(), host));
  return admit(admission, &head, &host);
}

// What the announcements of the key demand stands in its pool. By which CA, the
// identity of its name says: the connection must have been made by that policy.
Session::Admission Session::admission_to(
    const subscription::Pool& pool) const {
  const bool demanded = pool.client_rule() != ClientRule::kNone;
  const sni::Identity* const identity =
      context_.tls.identities->find_exact(name_of(pool));
  if (!demanded) {
    return identity == nullptr ? Admission::kGranted : admission_by(identity);
  }
  if (!is_secure()) return plain_admission();
  const bool usable = pool.client_rule() == ClientRule::kDemands &&
                      identity != nullptr && identity->demands();
  if (!usable) return Admission::kUnusable;
  return client_certificate_ == nullptr ? Admission::kMisdirected
                                        : admission_by(identity);
}

// Whether the client was judged by the policy of `identity` (null: of the
// listener's default).
Session::Admission Session::admission_by(const sni::Identity* identity) const {
  if (!is_secure()) {
    const bool demands = identity == nullptr
                             ? context_.settings->https_default_demands
                             : identity->demands();
    return demands ? plain_admission() : Admission::kGranted;
  }
  if (identity == nullptr) identity = &listener_->tls->fallback();
  return sni::may_carry(tls_.identity(), identity) ? Admission::kGranted
                                                   : Admission::kMisdirected;
}

// To what demands certificates.
Session::Admission Session::plain_admission() const {
  // Who is believed about TLS has verified the certificate that it names.
  if (vouched_ && vouched_client_) return Admission::kGranted;
  switch (context_.options().plain_http_for_client_auth) {
    case PlainHttp::kServe:
      return Admission::kGranted;
    case PlainHttp::kRedirect:
      return vouched_ ? Admission::kForbidden : Admission::kElsewhere;
    case PlainHttp::kRefuse: break;
  }
  return Admission::kForbidden;
}

// False: answered. Of a held request the head may not be there any more.
bool Session::admit(Admission admission, const http::RequestHead* head,
                    const http::Host* host) {
  switch (admission) {
    case Admission::kGranted:
      return true;
    case Admission::kMisdirected:
      fail(421, "This connection was made for another domain, whose rules on "
                "client certificates are not this one's.");
      return false;
    case Admission::kUnusable:
      fail(503, "This domain is served to clients with a certificate, and its "
                "own certificate or client CA cannot be used.");
      return false;
    case Admission::kElsewhere:
      if (head != nullptr) {
        redirect_to_https(*head, *host);
        return false;
      }
      break;
    case Admission::kForbidden:
      break;
  }
  fail(403, "This domain is served to clients with a certificate, over HTTPS.");
  return false;
}

// To the listener for HTTPS: this one, where TLS was to be spoken to it, or
// else the first.
void Session::redirect_to_https(const http::RequestHead& head,
                                const http::Host& host) {
  if (vouched_) {
    fail(403, "This domain is served to clients with a certificate.");
    return;
  }
  std::string authority(host.host());
  const std::string_view port = listener_->is_tls()
                                    ? std::string_view(listener_->server_port)
                                    : context_.settings->https_port;
  if (!port.empty() && port != std::to_string(Listener::kHttpsPort)) {
    authority.append(":").append(port);
  }
  const std::string_view path = head.path.starts_with('/') ? head.path : "/";
  begin_own_answer(is_fetch(head) ? 301 : 308, true);
  const std::size_t bytes =
      write_redirect({is_fetch(head) ? 301 : 308, authority, path,
                      head.query, keep_alive_},
                     context_.heading());
  if (bytes == 0) {
    answered_ = false;
    fail(431, "The request's head is too large (limits.head_bytes).");
    return;
  }
  send_own_answer(bytes);
}

}  // namespace fealty::router
