// The client's handshake, and what is kept of its outcome.

#include <sys/socket.h>

#include <array>
#include <utility>

#include "router/session.h"
#include "sni/client.h"
#include "sni/first_bytes.h"

namespace fealty::router {
namespace {

bool set_low_water(int fd, int bytes) {
  return ::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0;
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
      if (tls_.failure() == sni::Failure::kClientCertificate) {
        log_refused_client();
      }
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
  auto judged = sni::judge_first_bytes(
      std::span(first).first(static_cast<std::size_t>(bytes)));
  // Unix sockets know no low water: the first byte has to tell.
  if (judged == sni::FirstBytes::kMore && remote_addr_bytes_ == 0) {
    judged = sni::begins_like_tls(first[0]) ? sni::FirstBytes::kTls
                                            : sni::FirstBytes::kHttp;
  }
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
    case sni::FirstBytes::kMore:
      // Readiness then waits for as many as tell, or for the end.
      if (!std::exchange(few_first_bytes_, true) &&
          set_low_water(client_.fd(), sni::kFirstBytesMost)) {
        return false;
      }
      [[fallthrough]];
    case sni::FirstBytes::kOversized:
    case sni::FirstBytes::kNeither:
      context_.tls_counters.count_failure(sni::Failure::kNotTls);
      close();
      return false;
  }
  return false;
}

// One a second: whoever has a domain for clients with a certificate will ask why
// one of them does not get in.
void Session::log_refused_client() {
  std::uint64_t suppressed = 0;
  if (!context_.client_log.allow(coarse_monotonic_ms(), &suppressed)) return;
  const long verdict = SSL_get_verify_result(tls_.ssl());
  log::info("tls: {} is not let in to {}: {}{}",
            remote_addr_bytes_ > 0
                ? std::string_view(remote_addr_, remote_addr_bytes_)
                : "a client of a Unix socket",
            tls_.identity().key().empty()
                ? "the listener's default"
                : log::printable(tls_.identity().key()),
            verdict == X509_V_OK ? "it showed no certificate"
                                 : X509_verify_cert_error_string(verdict),
            suppressed > 0 ? fmt::format(" ({} more like it)", suppressed)
                           : "");
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

}  // namespace fealty::router
