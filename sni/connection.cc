#include "sni/connection.h"

#include <openssl/err.h>

#include "sni/server_name.h"

namespace fealty::sni {

bool Connection::open(const Context& context, const View& view) {
  close();
  context_ = &context;
  view_ = &view;
  ssl_.reset(SSL_new(context.get()));
  if (ssl_ == nullptr) return false;
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_accept_state(ssl_.get());
  return true;
}

Connection& Connection::of(const SSL* ssl) {
  return *static_cast<Connection*>(SSL_get_app_data(ssl));
}

// By the ClientHello that is being read.
bool Connection::choose_identity() {
  const unsigned char* extension = nullptr;
  std::size_t bytes = 0;
  const Identity* found = nullptr;
  if (SSL_client_hello_get0_ext(ssl_.get(), TLSEXT_TYPE_server_name, &extension,
                                &bytes) == 1) {
    const auto name =
        ServerName::fold(ServerName::in_extension({extension, bytes}));
    found = view_->identities->find(name.view());
  }
  if (found == nullptr) found = &context_->fallback();
  identity_ = IdentityRef::share(found);
  return identity_->bind(ssl_.get());
}

Connection::Progress Connection::handshake(Counters& counters) {
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    // The keys are for handshakes, and there will be none.
    SSL_certs_clear(ssl_.get());
    on_data();
    Counters::add(resumed() ? counters.resumed : counters.full);
    return Progress::kDone;
  }
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return Progress::kRead;
  if (error == SSL_ERROR_WANT_WRITE) return Progress::kWrite;
  failure_ = take_failure(error);
  counters.count_failure(failure_);
  return Progress::kFailed;
}

X509* Connection::client() const {
  if (identity_ == nullptr || identity_->policy() == nullptr ||
      SSL_get_verify_result(ssl_.get()) != X509_V_OK) {
    return nullptr;
  }
  return SSL_get0_peer_certificate(ssl_.get());
}

void Connection::close() {
  ssl_.reset();
  identity_.reset();
  records_without_data_ = 0;
}

}  // namespace fealty::sni
