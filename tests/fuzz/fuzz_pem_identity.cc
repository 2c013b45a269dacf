// Material of an identity: chain, key, client CA, revocation list. The first
// byte chooses what the rest is: PEM texts, with 0xff between them, or DER
// blocks, likewise, that are made into PEM here, so that mutations reach the
// parsers of certificates and keys. What the store accepts must be fit to serve.

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/clock.h"
#include "sni/openssl.h"
#include "sni/store.h"

namespace {

using namespace fealty::sni;

// Within the validity of the corpus's certificates.
class StillClock final : public fealty::Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return 0; }
  [[nodiscard]] std::int64_t unix_s() const override { return 1'800'000'000; }
};

using Parts = std::array<std::string, 4>;

Parts split(std::string_view input) {
  Parts parts;
  for (std::string& part : parts) {
    const std::size_t end = input.find('\xff');
    part = input.substr(0, end);
    if (end == input.npos) break;
    input.remove_prefix(end + 1);
  }
  return parts;
}

std::string to_pem(std::string_view der, std::string_view label) {
  if (der.empty()) return {};
  std::string body(der.size() / 3 * 4 + 5, '\0');
  const int bytes =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(body.data()),
                      bytes_at(der), static_cast<int>(der.size()));
  body.resize(static_cast<std::size_t>(bytes));
  const std::string name(label);
  return "-----BEGIN " + name + "-----\n" + body + "\n-----END " + name +
         "-----\n";
}

// The bytes 0xff of DER would end a part: they come as 0xfe 0x01, and 0xfe as
// 0xfe 0x00.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\xfe' && i + 1 < text.size()) {
      out += text[++i] == 1 ? '\xff' : '\xfe';
    } else {
      out += text[i];
    }
  }
  return out;
}

void wrap(Parts& parts) {
  constexpr std::array<std::string_view, 4> kLabels = {
      "CERTIFICATE", "PRIVATE KEY", "CERTIFICATE", "X509 CRL"};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i] = to_pem(unescape(parts[i]), kLabels[i]);
  }
}

void check_served(const Identity& identity) {
  static const SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  const SslPtr ssl(SSL_new(context.get()));
  FEALTY_CHECK(identity.bind(ssl.get()));
  FEALTY_CHECK(identity.apply(ssl.get()));
  FEALTY_CHECK(SSL_get_certificate(ssl.get()) != nullptr);
  FEALTY_CHECK(SSL_get_privatekey(ssl.get()) != nullptr);
  FEALTY_CHECK(identity.not_after_s() >= StillClock().unix_s());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  if (size == 0) return 0;
  Parts parts =
      split({reinterpret_cast<const char*>(data) + 1, size - 1});
  if (data[0] & 1) wrap(parts);
  const StillClock clock;
  Store store(clock);
  const IdentityPem pem{parts[0], parts[1], parts[2], parts[3],
                        (data[0] & 2) != 0, (data[0] >> 2) & 3};
  const auto outcome = store.put("example.com", pem);
  const Identity* const identity = store.find_exact("example.com");
  FEALTY_CHECK(outcome.has_value() == (identity != nullptr));
  if (identity == nullptr) {
    FEALTY_CHECK(store.problem("example.com") == outcome.error());
    return 0;
  }
  FEALTY_CHECK(*store.put("example.com", pem) == Store::Outcome::kUnchanged);
  check_served(*identity);
  return 0;
}
