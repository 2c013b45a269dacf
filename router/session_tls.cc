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

}  // namespace fealty::router
