#include "sni/context.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "sni/certificate.h"
#include "sni/connection.h"

namespace fealty::sni {
namespace {

// Forward secrecy and authenticated encryption only; the client's processor
// decides between AES and ChaCha20.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
    "TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
// Keys and digests of 112 bits: RSA with 2048 bits, no SHA-1.
constexpr int kSecurityLevel = 2;
constexpr std::int64_t kSessionMax_s = 7 * 24 * 3600;   // RFC 8446, 4.6.1

std::string last_error() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "unknown" : reason;
}

int on_client_hello(SSL* ssl, int* alert, void*) {
  if (Connection::of(ssl).choose_identity()) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

// Only full handshakes come here: resumed ones need no key.
int on_certificate_wanted(SSL* ssl, void*) {
  return Connection::of(ssl).identity().apply(ssl) ? 1 : 0;
}

int on_protocols(SSL*, const unsigned char** chosen, unsigned char* bytes,
                 const unsigned char* offered, unsigned offered_bytes, void*) {
  constexpr std::string_view kOurs = "\x08http/1.1\x08http/1.0";
  auto* ours = const_cast<unsigned char*>(bytes_at(kOurs));
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, bytes, ours, kOurs.size(), offered,
                            offered_bytes) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

// TLS 1.3 wants a new ticket for each that was used.
int on_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv,
                  EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int seals) {
  const TicketKeys* const keys = Connection::of(ssl).view().tickets.get();
  if (keys == nullptr) return 0;
  if (seals == 1) return keys->seal(name, iv, cipher, mac);
  const int result = keys->open(name, iv, cipher, mac);
  return result == 1 && SSL_version(ssl) == TLS1_3_VERSION ? 2 : result;
}

// When the client's certificate was verified: goes with the session, and with
// those that are made from it.
int on_ticket_made(SSL* ssl, void*) {
  SSL_SESSION* const session = SSL_get_session(ssl);
  if (SSL_session_reused(ssl) == 1 ||
      SSL_SESSION_get0_peer(session) == nullptr) {
    return 1;
  }
  const std::int64_t now_s = Connection::of(ssl).view().clock->unix_s();
  return SSL_SESSION_set1_ticket_appdata(session, &now_s, sizeof now_s);
}

void on_message(int sent, int, int content, const void*, std::size_t, SSL* ssl,
                void*) {
  if (sent == 0 && content == SSL3_RT_HEADER) {
    Connection::of(ssl).count_record();
  }
}

bool client_still_counts(SSL_SESSION* session, std::int64_t now_s) {
  const X509* const client = SSL_SESSION_get0_peer(session);
  if (client == nullptr) return true;
  const auto until = unix_time_of(X509_get0_notAfter(client));
  void* data = nullptr;
  std::size_t bytes = 0;
  std::int64_t verified_s = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &bytes) != 1 ||
      bytes != sizeof verified_s) {
    return false;
  }
  std::memcpy(&verified_s, data, sizeof verified_s);
  return until && now_s <= *until && now_s >= verified_s &&
         now_s - verified_s <= Context::kClientAgeMax_s;
}

SSL_TICKET_RETURN on_ticket_opened(SSL* ssl, SSL_SESSION* session,
                                   const unsigned char*, std::size_t,
                                   SSL_TICKET_STATUS status, void*) {
  const std::int64_t now_s = Connection::of(ssl).view().clock->unix_s();
  const bool opened =
      status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!opened || !client_still_counts(session, now_s)) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                      : SSL_TICKET_RETURN_USE_RENEW;
}

void set_up_connections(SSL_CTX* context, const Options& options) {
  SSL_CTX_set_options(
      context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                                SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A read ends at each record that is no data: whoever sends nothing else
  // takes his turn like all others.
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_msg_callback(context, &on_message);
  SSL_CTX_set_max_cert_list(context,
                            static_cast<long>(options.client_chain_bytes_max));
  SSL_CTX_set_client_hello_cb(context, &on_client_hello, nullptr);
  SSL_CTX_set_cert_cb(context, &on_certificate_wanted, nullptr);
  SSL_CTX_set_alpn_select_cb(context, &on_protocols, nullptr);
}

}  // namespace

Result<std::shared_ptr<const Context>> Context::make(const Options& options,
                                                     IdentityRef fallback) {
  const std::shared_ptr<Context> made(new Context(std::move(fallback)));
  const Status done = made->set_up(options);
  if (!done) return done.error();
  return std::shared_ptr<const Context>(made);
}

Status Context::set_up(const Options& options) {
  context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = context_.get();
  if (context == nullptr) return Error{"TLS: no context: " + last_error()};
  // Whatever the system's configuration of OpenSSL says; "@SECLEVEL=" in
  // tls.ciphers may say otherwise.
  SSL_CTX_set_security_level(context, kSecurityLevel);
  const int version =
      options.min_version == TlsVersion::k13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  const char* const ciphers =
      options.ciphers == "default" ? kCiphers12 : options.ciphers.c_str();
  if (SSL_CTX_set_cipher_list(context, ciphers) != 1) {
    return Error{"tls.ciphers: OpenSSL knows no cipher suite of \"" +
                 options.ciphers + "\": " + last_error()};
  }
  if (SSL_CTX_set_min_proto_version(context, version) != 1 ||
      SSL_CTX_set_ciphersuites(context, kCiphers13) != 1 ||
      SSL_CTX_set1_groups_list(context, kGroups) != 1) {
    return Error{"TLS: OpenSSL refuses its settings: " + last_error()};
  }
  set_up_connections(context, options);
  set_up_sessions(options);
  return Ok{};
}

void Context::set_up_sessions(const Options& options) {
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_recv_max_early_data(context, 0);
  if (!options.tickets.enabled) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return;
  }
  const std::int64_t lifetime_s =
      std::clamp<std::int64_t>(options.tickets.rotate_s, 1, kSessionMax_s);
  SSL_CTX_set_timeout(context, static_cast<long>(lifetime_s));
  // One is enough: each that is used brings another.
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &on_ticket_key);
  SSL_CTX_set_session_ticket_cb(context, &on_ticket_made, &on_ticket_opened,
                                nullptr);
}

}  // namespace fealty::sni
