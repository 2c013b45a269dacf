#pragma once

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "sni/certificate.h"
#include "sni/client.h"
#include "sni/connection.h"
#include "sni/openssl.h"
#include "sni/pem.h"
#include "sni/store.h"

// Certificates made on the spot, and clients that speak TLS to a Connection
// over memory.
namespace fealty::sni::test {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return 0; }
  [[nodiscard]] std::int64_t unix_s() const override { return now_s; }
  std::int64_t now_s = std::time(nullptr);
};

inline std::string text_of_bio(BIO* memory) {
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(memory, &text);
  std::string out(text, static_cast<std::size_t>(bytes));
  BIO_free(memory);
  return out;
}

inline std::shared_ptr<EVP_PKEY> make_key(const std::string& curve = "P-256") {
  EVP_PKEY* const key = EVP_EC_gen(curve.c_str());
  FEALTY_CHECK(key != nullptr);
  return {key, EVP_PKEY_free};
}
inline std::shared_ptr<EVP_PKEY> make_rsa_key(unsigned bits = 2048) {
  EVP_PKEY* const key = EVP_RSA_gen(bits);
  FEALTY_CHECK(key != nullptr);
  return {key, EVP_PKEY_free};
}
// One that takes seconds to make.
inline std::shared_ptr<EVP_PKEY> key_in(const std::string& file) {
  const std::string path = std::string(FEALTY_TEST_DATA "/sni/") + file;
  BIO* const from = BIO_new_file(path.c_str(), "r");
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(from, nullptr, nullptr, nullptr);
  FEALTY_CHECK(key != nullptr);
  BIO_free(from);
  return {key, EVP_PKEY_free};
}
inline std::shared_ptr<EVP_PKEY> make_ed25519_key() {
  EVP_PKEY* const key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  FEALTY_CHECK(key != nullptr);
  return {key, EVP_PKEY_free};
}

// PKCS #8, as `openssl genpkey` writes it.
inline std::string pem_of_key(EVP_PKEY* key) {
  BIO* const memory = BIO_new(BIO_s_mem());
  FEALTY_CHECK(PEM_write_bio_PrivateKey(memory, key, nullptr, nullptr, 0,
                                        nullptr, nullptr) == 1);
  return text_of_bio(memory);
}
// "EC PRIVATE KEY", "RSA PRIVATE KEY", as older tools write it.
inline std::string pem_of_key_traditional(EVP_PKEY* key) {
  BIO* const memory = BIO_new(BIO_s_mem());
  FEALTY_CHECK(PEM_write_bio_PrivateKey_traditional(
                   memory, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_of_bio(memory);
}

struct Made {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  [[nodiscard]] std::string pem() const {
    BIO* const memory = BIO_new(BIO_s_mem());
    FEALTY_CHECK(PEM_write_bio_X509(memory, certificate.get()) == 1);
    return text_of_bio(memory);
  }
  [[nodiscard]] std::string key_pem() const { return pem_of_key(key.get()); }
};

struct Wish {
  std::vector<std::pair<std::string, std::string>> subject = {{"CN", "x"}};
  std::shared_ptr<EVP_PKEY> key = nullptr;   // null: a new one on P-256
  const Made* issuer = nullptr;              // null: itself
  bool is_ca = false;
  long from_s = -3600;                       // from now
  long until_s = 90L * 86400;
  long serial = 1;
  const EVP_MD* digest = EVP_sha256();
  const char* uses = nullptr;                // extendedKeyUsage
};

inline void add_extension(X509* certificate, X509* issuer, int nid,
                          const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  FEALTY_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

inline Made make_certificate(const Wish& wish) {
  Made made;
  made.key = wish.key == nullptr ? make_key() : wish.key;
  made.certificate = {X509_new(), X509_free};
  X509* const it = made.certificate.get();
  X509* const issuer =
      wish.issuer == nullptr ? it : wish.issuer->certificate.get();
  X509_set_version(it, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(it), wish.serial);
  X509_gmtime_adj(X509_getm_notBefore(it), wish.from_s);
  X509_gmtime_adj(X509_getm_notAfter(it), wish.until_s);
  for (const auto& [name, value] : wish.subject) {
    FEALTY_CHECK(X509_NAME_add_entry_by_txt(
                     X509_get_subject_name(it), name.c_str(), MBSTRING_UTF8,
                     bytes_at(value), static_cast<int>(value.size()), -1,
                     0) == 1);
  }
  X509_set_issuer_name(it, X509_get_subject_name(issuer));
  X509_set_pubkey(it, made.key.get());
  add_extension(it, issuer, NID_basic_constraints,
                wish.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add_extension(it, issuer, NID_subject_key_identifier, "hash");
  if (wish.is_ca) {
    add_extension(it, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  if (wish.uses != nullptr) {
    add_extension(it, issuer, NID_ext_key_usage, wish.uses);
  }
  EVP_PKEY* const signer =
      wish.issuer == nullptr ? made.key.get() : wish.issuer->key.get();
  const bool pure = EVP_PKEY_is_a(signer, "ED25519") == 1;
  FEALTY_CHECK(X509_sign(it, signer, pure ? nullptr : wish.digest) > 0);
  return made;
}

inline Made make_ca(const std::string& name) {
  Wish wish;
  wish.subject = {{"O", "Test"}, {"CN", name}};
  wish.is_ca = true;
  return make_certificate(wish);
}

inline Made make_server(const std::string& name, long serial = 1) {
  Wish wish;
  wish.subject = {{"CN", name}};
  wish.serial = serial;
  return make_certificate(wish);
}

inline Made make_client(const std::string& name, const Made& ca,
                        long until_s = 86400) {
  Wish wish;
  wish.subject = {{"C", "IT"}, {"O", "Foo"}, {"CN", name}};
  wish.issuer = &ca;
  wish.until_s = until_s;
  return make_certificate(wish);
}

// A list of what `ca` revoked; `for_s` from now it is out of date.
inline std::string make_crl(const Made& ca, const std::vector<long>& serials,
                            long for_s = 86400) {
  X509_CRL* const crl = X509_CRL_new();
  X509_CRL_set_version(crl, 1);
  X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca.certificate.get()));
  ASN1_TIME* const time = ASN1_TIME_new();
  X509_gmtime_adj(time, -60);
  X509_CRL_set1_lastUpdate(crl, time);
  for (const long serial : serials) {
    X509_REVOKED* const revoked = X509_REVOKED_new();
    ASN1_INTEGER* const number = ASN1_INTEGER_new();
    ASN1_INTEGER_set(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, time);
    X509_CRL_add0_revoked(crl, revoked);
    ASN1_INTEGER_free(number);
  }
  X509_gmtime_adj(time, for_s);
  X509_CRL_set1_nextUpdate(crl, time);
  ASN1_TIME_free(time);
  X509_CRL_sort(crl);
  FEALTY_CHECK(X509_CRL_sign(crl, ca.key.get(), EVP_sha256()) > 0);
  BIO* const memory = BIO_new(BIO_s_mem());
  FEALTY_CHECK(PEM_write_bio_X509_CRL(memory, crl) == 1);
  X509_CRL_free(crl);
  return text_of_bio(memory);
}

// The texts of an identity, and views of them.
struct Texts {
  std::string chain;
  std::string key;
  std::string client_ca;
  std::string client_crl;
  bool demanded = false;
  int depth = 2;

  [[nodiscard]] IdentityPem pem() const {
    return {chain, key, client_ca, client_crl, demanded, depth};
  }
};
inline Texts texts_of(const Made& server) {
  return {server.pem(), server.key_pem(), "", "", false, 2};
}
inline Texts guarded(const Made& server, const Made& ca, bool demanded = true) {
  Texts texts = texts_of(server);
  texts.client_ca = ca.pem();
  texts.demanded = demanded;
  return texts;
}

using SessionPtr = std::shared_ptr<SSL_SESSION>;

struct Ask {
  int version = TLS1_3_VERSION;
  std::string name;                          // "": no SNI
  const Made* client = nullptr;
  SessionPtr session = nullptr;              // to be resumed
  std::string signatures = "";               // "RSA-PSS+SHA256:…"
  std::string protocols = "";                // ALPN, in wire form
  bool verifies = false;                     // the server's chain: in vain
};

// What came of a handshake, seen from both sides.
struct Outcome {
  bool done = false;
  bool resumed = false;
  Failure failure = Failure::kClosed;
  std::string server;                        // the CN that the client saw
  long serial = 0;
  std::size_t chain = 0;
  std::string client;                        // verified subject, or "-"
  std::string identity;
  std::vector<std::string> ca_names;
  std::string protocol;
  SessionPtr session;
};

inline std::string common_name(const X509* certificate) {
  char text[256] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                            text, sizeof text);
  return text;
}

// Handshakes of any number of clients with one listener.
class Server {
 public:
  explicit Server(const Options& options = {})
      : fallback_made_(make_server("fallback")) {
    set_fallback(texts_of(fallback_made_), options);
  }
  void set_fallback(const Texts& texts, const Options& options = {}) {
    auto identity = store.make_default("", texts.pem());
    FEALTY_CHECK(identity);
    auto made = Context::make(options, *std::move(identity));
    FEALTY_CHECK(made);
    context = *std::move(made);
  }
  void put(std::string_view name, const Texts& texts,
           const Origin& origin = {}) {
    FEALTY_CHECK(store.put(name, texts.pem(), origin));
  }

  Outcome handshake(const Ask& ask) {
    view.identities = store.build();
    Outcome outcome;
    const SslContextPtr client_context = make_client_context(ask, outcome);
    const SslPtr client(SSL_new(client_context.get()));
    Connection connection;
    FEALTY_CHECK(connection.open(*context, view));
    join(client.get(), connection.ssl());
    SSL_set_connect_state(client.get());
    if (!ask.name.empty()) {
      SSL_set_tlsext_host_name(client.get(), ask.name.c_str());
    }
    if (ask.session != nullptr) {
      // A copy: OpenSSL's client uses one of TLS 1.3 only once, others do not.
      const SessionPtr copy(SSL_SESSION_dup(ask.session.get()),
                            SSL_SESSION_free);
      SSL_set_session(client.get(), copy.get());
    }
    drive(client.get(), connection, outcome);
    if (outcome.done) note(client.get(), connection, outcome);
    if (ask.version < TLS1_3_VERSION) {    // tells nobody of renewed tickets
      outcome.session = {SSL_get1_session(client.get()), SSL_SESSION_free};
    }
    SSL_shutdown(client.get());            // or the session counts as broken
    return outcome;
  }

  FakeClock clock;
  Store store{clock};
  View view{store.build(), TicketKeyRing(12 * 3600, 0).current(), &clock};
  std::shared_ptr<const Context> context;
  Counters counters;

 private:
  static void join(SSL* client, SSL* server) {
    BIO* one = nullptr;
    BIO* other = nullptr;
    FEALTY_CHECK(BIO_new_bio_pair(&one, 1 << 17, &other, 1 << 17) == 1);
    SSL_set_bio(client, one, one);
    SSL_set_bio(server, other, other);
  }

  static SslContextPtr make_client_context(const Ask& ask, Outcome& outcome) {
    SslContextPtr made(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* const it = made.get();
    SSL_CTX_set_min_proto_version(it, ask.version);
    SSL_CTX_set_max_proto_version(it, ask.version);
    SSL_CTX_set_session_cache_mode(
        it, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(it, &outcome);
    SSL_CTX_sess_set_new_cb(it, [](SSL* ssl, SSL_SESSION* session) {
      auto* const to =
          static_cast<Outcome*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      to->session = {session, SSL_SESSION_free};
      return 1;
    });
    if (ask.verifies) SSL_CTX_set_verify(it, SSL_VERIFY_PEER, nullptr);
    if (!ask.signatures.empty()) {
      FEALTY_CHECK(SSL_CTX_set1_sigalgs_list(it, ask.signatures.c_str()) == 1);
    }
    if (!ask.protocols.empty()) {
      SSL_CTX_set_alpn_protos(it, bytes_at(ask.protocols),
                              static_cast<unsigned>(ask.protocols.size()));
    }
    if (ask.client != nullptr) {
      SSL_CTX_use_certificate(it, ask.client->certificate.get());
      SSL_CTX_use_PrivateKey(it, ask.client->key.get());
    }
    return made;
  }

  // Both sides in turn, until both are done or one has failed; then what is
  // still on its way (tickets, alerts) is read.
  void drive(SSL* client, Connection& connection, Outcome& outcome) {
    using Progress = Connection::Progress;
    Progress progress = Progress::kRead;
    bool client_done = false;
    for (int turn = 0; turn < 20 && progress != Progress::kFailed; ++turn) {
      client_done = SSL_do_handshake(client) == 1;
      if (progress != Progress::kDone) progress = connection.handshake(counters);
      if (client_done && progress == Progress::kDone) break;
    }
    ERR_clear_error();
    outcome.done = client_done && progress == Progress::kDone;
    outcome.failure = connection.failure();
    char byte = 0;
    if (client_done) SSL_read(client, &byte, 1);
    ERR_clear_error();
  }

  static void note(SSL* client, const Connection& connection,
                   Outcome& outcome) {
    outcome.resumed = connection.resumed();
    FEALTY_CHECK(outcome.resumed == (SSL_session_reused(client) == 1));
    X509* const server = SSL_get0_peer_certificate(client);
    outcome.server = common_name(server);
    outcome.serial = ASN1_INTEGER_get(X509_get_serialNumber(server));
    if (const auto* chain = SSL_get_peer_cert_chain(client)) {
      outcome.chain = static_cast<std::size_t>(sk_X509_num(chain));
    }
    X509* const its = connection.client();
    outcome.client = its == nullptr ? "-" : subject_of(its).value_or("?");
    outcome.identity = connection.identity().key();
    const auto* const names = SSL_get_client_CA_list(client);
    for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
      char text[256] = {};
      X509_NAME_get_text_by_NID(sk_X509_NAME_value(names, i), NID_commonName,
                                text, sizeof text);
      outcome.ca_names.emplace_back(text);
    }
    const unsigned char* protocol = nullptr;
    unsigned bytes = 0;
    SSL_get0_alpn_selected(client, &protocol, &bytes);
    if (bytes != 0) {
      outcome.protocol.assign(reinterpret_cast<const char*>(protocol), bytes);
    }
  }

  Made fallback_made_;
};

}  // namespace fealty::sni::test
