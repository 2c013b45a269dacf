// The client's handshake, and what its outcome allows: which identity's rules a
// connection was made under, and whether a request may come by it.

#include <sys/socket.h>

#include <array>
#include <string>
#include <utility>

#include "router/error_page.h"
#include "router/session.h"
#include "sni/client.h"
#include "sni/first_bytes.h"
#include "subscription/key.h"

namespace fealty::router {
namespace {

// The name that a pool's key is about, as identities are called.
std::string_view name_of(const subscription::Pool& pool) {
  return subscription::without_port(
      subscription::without_mountpoint(pool.key()));
}

bool set_low_water(int fd, int bytes) {
  return ::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0;
}

// Whether a redirect need not say that the method stays.
bool is_fetch(const http::RequestHead& head) {
  return head.method == "GET" || head.is_head();
}

}  // namespace

void Session::begin_handshake() {
  state_ = State::kHandshake;
  context_.handshake_deadline.arm(deadline_, coarse_monotonic_ms());
}

void Session::shake_hands() {
  if (!is_secure() && !open_tls()) return;
  switch (tls_.handshake(context_.tls_counters)) {
    case sni::Connection::Progress::kDone:
      on_secured();
      break;
    case sni::Connection::Progress::kRead:
      client_io_.want(EV_READ);
      break;
    case sni::Connection::Progress::kWrite:
      client_io_.want(EV_WRITE);
      break;
    case sni::Connection::Progress::kFailed:
      // An alert that says why is on its way, unless the client has gone.
      if (tls_.failure() == sni::Failure::kClosed) {
        close();
      } else {
        linger();
      }
      break;
  }
}

// Looks at what the client begins with; true where TLS may begin too. Who has
// sent too little to tell is heard again when there is enough.
bool Session::open_tls() {
  std::array<unsigned char, sni::kFirstBytesMost> first;
  const ssize_t bytes =
      ::recv(client_.fd(), first.data(), first.size(), MSG_PEEK);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (bytes <= 0) {
    context_.tls_counters.count_failure(sni::Failure::kClosed);
    close();
    return false;
  }
  const auto judged = sni::judge_first_bytes(
      std::span(first).first(static_cast<std::size_t>(bytes)));
  if (few_first_bytes_ && !set_low_water(client_.fd(), 1)) return false;
  switch (judged) {
    case sni::FirstBytes::kTls:
      if (tls_.open(*listener_->tls, context_.tls) &&
          SSL_set_fd(tls_.ssl(), client_.fd()) == 1) {
        return true;
      }
      context_.tls_counters.count_failure(sni::Failure::kInternal);
      close();
      return false;
    case sni::FirstBytes::kHttp:
      plain_on_tls_ = true;
      state_ = State::kIdle;
      context_.head_deadline.arm(deadline_, coarse_monotonic_ms());
      read_head();
      return false;
    case sni::FirstBytes::kMore: {
      // Readiness then waits for as many as tell, or for the end. Unix sockets
      // know no such thing.
      const bool again = std::exchange(few_first_bytes_, true);
      if (!again && remote_addr_bytes_ > 0 &&
          set_low_water(client_.fd(), sni::kFirstBytesMost)) {
        return false;
      }
      [[fallthrough]];
    }
    case sni::FirstBytes::kOversized:
    case sni::FirstBytes::kNeither:
      context_.tls_counters.count_failure(sni::Failure::kNotTls);
      close();
      return false;
  }
  return false;
}

void Session::on_secured() {
  if (!know_client()) {
    context_.tls_counters.count_failure(sni::Failure::kClientCertificate);
    close();
    return;
  }
  client_.secure(tls_.ssl());
  state_ = State::kIdle;
  context_.head_deadline.arm(deadline_, coarse_monotonic_ms());
  client_io_.want(EV_READ);
  // The request may have come with the handshake's last bytes.
  if (SSL_has_pending(tls_.ssl()) == 1) read_head();
}

// What applications are told of the client's certificate, if it has one. False:
// its subject cannot be told.
bool Session::know_client() {
  X509* const certificate = tls_.client();
  if (certificate == nullptr) return true;
  auto subject = sni::subject_of(certificate);
  if (!subject) return false;
  auto known = std::make_unique<ClientCertificate>();
  known->subject = *std::move(subject);
  if (context_.options().client_certificate_variables) {
    known->pem = sni::pem_of(certificate);
    known->der = sni::der_of(certificate);
  }
  client_certificate_ = std::move(known);
  return true;
}

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
         obeys(head, host, context_.tls.identities->find(host.host()));
}

// Whether there is any host that asks something of its clients.
bool Session::has_rules() const {
  return context_.tls.identities->with_policy() > 0 ||
         (is_secure() && (tls_.identity().policy() != nullptr ||
                          listener_->tls->fallback().policy() != nullptr));
}

// The key that answers may be about another name than the host: a wildcard
// above it. Its rules count as well. False: answered.
bool Session::may_reach(const http::RequestHead& head, const http::Host& host,
                        const subscription::Pool& pool) {
  if (!has_rules()) return true;
  const std::string_view name = name_of(pool);
  if (name == host.host()) return true;
  const sni::Identity* const identity =
      context_.tls.identities->find_exact(name);
  return identity == nullptr || obeys(head, host, identity);
}

// Whether the client was judged by the rules of `identity` (null: no rules but
// the listener's). False: answered.
bool Session::obeys(const http::RequestHead& head, const http::Host& host,
                    const sni::Identity* identity) {
  if (is_secure()) {
    if (identity == nullptr) identity = &listener_->tls->fallback();
    if (sni::may_carry(tls_.identity(), identity)) return true;
    fail(421, "This connection was made for another domain, whose rules on "
              "client certificates are not this one's.");
    return false;
  }
  if (identity == nullptr || identity->policy() == nullptr ||
      !identity->policy()->demands()) {
    return true;
  }
  // Who is believed about TLS has verified the certificate that it names.
  if (vouched_ && !context_.uwsgi_request.client_subject.empty()) return true;
  switch (context_.options().plain_http_for_client_auth) {
    case PlainHttp::kServe:
      return true;
    case PlainHttp::kRedirect:
      redirect_to_https(head, host);
      return false;
    case PlainHttp::kRefuse:
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
