// Identities by the hundred thousand (ECDSA P-256): what each takes of the
// process's memory, and what a full handshake among them costs the server
// beside one where there is a single identity.
//
// "plain": a self-signed certificate, some 450 bytes of DER. "issued": one as
// public CAs issue them (alternative names, policies, two timestamps), some 950
// bytes, with an intermediate that all have in common.

#include <benchmark/benchmark.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "sni/connection.h"
#include "sni/store.h"

namespace {

using namespace fealty;
using namespace fealty::sni;

enum Shape : std::int64_t { kPlain, kIssued };

struct Made {
  CertificatePtr certificate;
  KeyPtr key;
};

std::string name_of_customer(std::size_t i) {
  return "www.customer-" + std::to_string(i) + ".example.com";
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const made =
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  FEALTY_CHECK(made != nullptr);
  X509_add_ext(certificate, made, -1);
  X509_EXTENSION_free(made);
}

// As two signed certificate timestamps look: 243 bytes.
void extend_with_timestamps(X509* certificate, std::mt19937_64& random) {
  std::array<unsigned char, 245> bytes{0x04, 0x81, 0xf2};
  for (std::size_t i = 3; i < bytes.size(); ++i) {
    bytes[i] = static_cast<unsigned char>(random());
  }
  ASN1_OCTET_STRING* const value = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(value, bytes.data(), bytes.size());
  X509_EXTENSION* const made = X509_EXTENSION_create_by_NID(
      nullptr, NID_ct_precert_scts, 0, value);
  X509_add_ext(certificate, made, -1);
  X509_EXTENSION_free(made);
  ASN1_OCTET_STRING_free(value);
}

void extend_as_issued(X509* it, X509* issuer, const std::string& name,
                      std::mt19937_64& random) {
  extend(it, issuer, NID_key_usage, "critical,digitalSignature");
  extend(it, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  extend(it, issuer, NID_subject_key_identifier, "hash");
  extend(it, issuer, NID_authority_key_identifier, "keyid");
  extend(it, issuer, NID_info_access,
         "OCSP;URI:http://e5.o.example.org,caIssuers;URI:http://e5.i.example.org/");
  extend(it, issuer, NID_subject_alt_name, "DNS:" + name + ",DNS:m." + name);
  // domain-validated: 2.23.140.1.2.1
  extend(it, issuer, NID_certificate_policies,
         "DER:300A3008060667810C010201");
  extend(it, issuer, NID_crl_distribution_points,
         "URI:http://e5.c.example.org/12.crl");
  extend_with_timestamps(it, random);
}

Made make_certificate(const std::string& name, const Made* issuer) {
  static std::mt19937_64 random(1);
  Made made{CertificatePtr(X509_new()), KeyPtr(EVP_EC_gen("P-256"))};
  X509* const it = made.certificate.get();
  X509* const from = issuer == nullptr ? it : issuer->certificate.get();
  X509_set_version(it, 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(it), random());
  X509_gmtime_adj(X509_getm_notBefore(it), -60);
  X509_gmtime_adj(X509_getm_notAfter(it), 90L * 86400);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(it), "CN", MBSTRING_ASC,
                             bytes_at(name), -1, -1, 0);
  X509_set_issuer_name(it, X509_get_subject_name(from));
  X509_set_pubkey(it, made.key.get());
  extend(it, from, NID_basic_constraints, "critical,CA:FALSE");
  if (issuer == nullptr) {
    extend(it, from, NID_subject_key_identifier, "hash");
  } else {
    extend_as_issued(it, from, name, random);
  }
  X509_sign(it, issuer == nullptr ? made.key.get() : issuer->key.get(),
            EVP_sha256());
  return made;
}

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
std::string pem_of(const Made& made) {
  return pem([&](BIO* to) {
    return PEM_write_bio_X509(to, made.certificate.get());
  });
}

std::size_t resident_bytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "re");
  FEALTY_CHECK(file != nullptr);
  std::size_t pages = 0;
  FEALTY_CHECK(std::fscanf(file, "%*u %zu", &pages) == 1);
  std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// A store that has been told of everybody, and what listens with it.
struct Site {
  Site(Shape shape, std::size_t count) : names(count) {
    const Made issuer = make_certificate("E5", nullptr);
    const std::string issuer_pem = shape == kIssued ? pem_of(issuer) : "";
    const Made fallback = make_certificate("fallback", nullptr);
    const std::size_t before = resident_bytes();
    for (std::size_t i = 0; i < count; ++i) {
      const Made made = make_certificate(name_of_customer(i),
                                         shape == kIssued ? &issuer : nullptr);
      put(name_of_customer(i), made, issuer_pem);
    }
    view.identities = store.build();
    view.clock = &clock;
    view.tickets = TicketKeyRing(3600, 0).current();
    bytes_each = static_cast<double>(resident_bytes() - before) /
                 static_cast<double>(count);
    auto made = store.make_default("", {pem_of(fallback), key_pem(fallback)});
    context = *Context::make({}, *made);
  }

  void put(const std::string& name, const Made& made,
           const std::string& issuer_pem) {
    const std::string chain = pem_of(made) + issuer_pem;
    const std::string key = key_pem(made);
    IdentityPem texts;
    texts.chain = chain;
    texts.key = key;
    FEALTY_CHECK(store.put(name, texts));
  }
  static std::string key_pem(const Made& made) {
    return pem([&](BIO* to) {
      return PEM_write_bio_PrivateKey(to, made.key.get(), nullptr, nullptr, 0,
                                      nullptr, nullptr);
    });
  }

  SystemClock clock;
  Store store{clock};
  View view;
  std::shared_ptr<const Context> context;
  Counters counters;
  std::size_t names;
  double bytes_each = 0;
};

Site& site_of(std::int64_t shape, std::size_t count) {
  static std::map<std::pair<std::int64_t, std::size_t>, std::unique_ptr<Site>>
      all;
  auto& site = all[{shape, count}];
  if (site == nullptr) {
    site = std::make_unique<Site>(static_cast<Shape>(shape), count);
  }
  return *site;
}

double thread_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 +
         static_cast<double>(now.tv_nsec) * 1e-3;
}

// The server's processor time for one full handshake, microseconds, from
// SSL_new to SSL_free.
double handshake_us(Site& site, SSL_CTX* clients, const std::string& name) {
  double begun = thread_us();
  Connection connection;
  FEALTY_CHECK(connection.open(*site.context, site.view));
  double spent = thread_us() - begun;
  const SslPtr client(SSL_new(clients));
  BIO* one = nullptr;
  BIO* other = nullptr;
  FEALTY_CHECK(BIO_new_bio_pair(&one, 1 << 16, &other, 1 << 16) == 1);
  SSL_set_bio(client.get(), one, one);
  SSL_set_bio(connection.ssl(), other, other);
  SSL_set_connect_state(client.get());
  SSL_set_tlsext_host_name(client.get(), name.c_str());
  auto progress = Connection::Progress::kRead;
  while (progress != Connection::Progress::kDone) {
    SSL_do_handshake(client.get());
    begun = thread_us();
    progress = connection.handshake(site.counters);
    spent += thread_us() - begun;
    FEALTY_CHECK(progress != Connection::Progress::kFailed);
  }
  FEALTY_CHECK(connection.identity().key() == name);
  begun = thread_us();
  connection.close();
  return spent + thread_us() - begun;
}

double median(std::vector<double>& values) {
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// As after every one has been asked for: all is kept that is kept at all.
void touch_all(Site& site) {
  const SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  const SslPtr ssl(SSL_new(context.get()));
  for (std::size_t i = 0; i < site.names; ++i) {
    const Identity* const identity =
        site.view.identities->find(name_of_customer(i));
    FEALTY_CHECK(identity != nullptr && identity->apply(ssl.get()));
    SSL_certs_clear(ssl.get());
  }
}

constexpr std::size_t kAll = 100'000;

// Arguments: shape, TLS version, whether the names were asked for before. The
// handshakes go to all of them in random order, so that no cache helps; those
// with the single identity come in between.
void identity_handshake(benchmark::State& state) {
  constexpr int kRounds = 4000;
  Site& single = site_of(state.range(0), 1);
  Site& many = site_of(state.range(0), kAll);
  if (state.range(2) != 0) touch_all(many);
  const SslContextPtr clients(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(clients.get(),
                                static_cast<int>(state.range(1)));
  std::mt19937_64 random(7);
  std::vector<double> one;
  std::vector<double> other;
  for (auto _ : state) {
    for (int i = 0; i < kRounds; ++i) {
      one.push_back(handshake_us(single, clients.get(), name_of_customer(0)));
      other.push_back(handshake_us(many, clients.get(),
                                   name_of_customer(random() % kAll)));
    }
  }
  state.counters["one_us"] = median(one);
  state.counters["many_us"] = median(other);
  state.counters["ratio"] = median(other) / median(one);
}
// First those that nobody asked for yet.
BENCHMARK(identity_handshake)
    ->Args({kPlain, TLS1_3_VERSION, 0})
    ->Args({kIssued, TLS1_3_VERSION, 0})
    ->Args({kPlain, TLS1_3_VERSION, 1})
    ->Args({kPlain, TLS1_2_VERSION, 1})
    ->Args({kIssued, TLS1_3_VERSION, 1})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

void identity_memory(benchmark::State& state) {
  Site& site = site_of(state.range(0), kAll);
  const std::size_t before = resident_bytes();
  for (auto _ : state) touch_all(site);
  state.counters["bytes_each_at_first"] = site.bytes_each;
  state.counters["bytes_each"] =
      site.bytes_each +
      static_cast<double>(resident_bytes() - before) / double{kAll};
}
BENCHMARK(identity_memory)
    ->Arg(kPlain)
    ->Arg(kIssued)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// What an announcement costs the control thread.
void identity_put(benchmark::State& state) {
  Site& site = site_of(state.range(0), 1);
  const Made made = make_certificate("put", nullptr);
  const std::string chain = pem_of(made);
  const std::string key = Site::key_pem(made);
  IdentityPem texts;
  texts.chain = chain;
  texts.key = key;
  const bool known = state.range(1) != 0;
  for (auto _ : state) {
    if (!known) site.store.remove("put");
    FEALTY_CHECK(site.store.put("put", texts));
  }
}
BENCHMARK(identity_put)->Args({kPlain, 0})->Args({kPlain, 1});

}  // namespace
