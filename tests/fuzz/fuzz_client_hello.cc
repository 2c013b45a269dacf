// What a client sends first, into a listener with exact, wildcard and guarded
// names. Whatever it is: the identity is the one that the name, read by other
// means, leads to, and no handshake is done without the client's part in it.

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/clock.h"
#include "sni/connection.h"
#include "sni/first_bytes.h"
#include "sni/server_name.h"
#include "sni/store.h"

namespace {

using namespace fealty;
using namespace fealty::sni;

template <typename Write>
std::string pem(const Write& write) {
  BIO* const memory = BIO_new(BIO_s_mem());
  FEALTY_CHECK(write(memory) == 1);
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(memory, &text);
  std::string out(text, static_cast<std::size_t>(bytes));
  BIO_free(memory);
  return out;
}

struct Texts {
  std::string chain;
  std::string key;
};

Texts make_texts() {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr made(X509_new());
  X509_set_version(made.get(), 2);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 86400);
  X509_set_pubkey(made.get(), key.get());
  FEALTY_CHECK(X509_sign(made.get(), key.get(), EVP_sha256()) > 0);
  return {pem([&](BIO* to) { return PEM_write_bio_X509(to, made.get()); }),
          pem([&](BIO* to) {
            return PEM_write_bio_PrivateKey(to, key.get(), nullptr, nullptr, 0,
                                            nullptr, nullptr);
          })};
}

struct Stage {
  Stage() {
    const Texts texts = make_texts();
    IdentityPem material;
    material.chain = texts.chain;
    material.key = texts.key;
    for (const char* const name : {"a.example.com", ".example.com"}) {
      FEALTY_CHECK(store.put(name, material));
    }
    material.client_ca = texts.chain;
    material.client_demanded = true;
    FEALTY_CHECK(store.put("guarded.example.com", material));
    context = *Context::make({}, *store.make_default("", material));
    view = {store.build(), TicketKeyRing(3600, 0).current(), &clock};
  }
  SystemClock clock;
  Store store{clock};
  std::shared_ptr<const Context> context;
  View view;
};

Stage& stage() {
  static Stage made;
  return made;
}

void run_handshake(std::string_view input) {
  Connection connection;
  Counters counters;
  FEALTY_CHECK(connection.open(*stage().context, stage().view));
  SSL_set_bio(connection.ssl(),
              BIO_new_mem_buf(input.data(), static_cast<int>(input.size())),
              BIO_new(BIO_s_null()));
  FEALTY_CHECK(connection.handshake(counters) != Connection::Progress::kDone);
  FEALTY_CHECK(counters.full == 0 && counters.resumed == 0);
}

void check_name(std::string_view bytes) {
  const auto name = ServerName::fold(
      ServerName::in_extension({bytes_at(bytes), bytes.size()}));
  const Identity* const found = stage().view.identities->find(name.view());
  if (found == nullptr || name.view() == found->key()) return;
  FEALTY_CHECK(found->key() == ".example.com");
  FEALTY_CHECK(name.view().ends_with(".example.com"));
  FEALTY_CHECK(name.view().size() > found->key().size());
  FEALTY_CHECK(name.view().find_first_of("ABCXYZ/ :") == std::string_view::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  (void)judge_first_bytes({data, size});
  check_name(input);
  run_handshake(input);
  return 0;
}
