// A signed refresh (RSA-2048, SHA-1, as the platform sends it) from the
// datagram's bytes to the table, beside the bare check of the same bytes, and
// an unsigned one. The packets of a live node come one simulated second apart.

#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "subscription/table.h"
#include "subscription/verify.h"
#include "wire/uwsgi_packet.h"

namespace {

using namespace fealty::subscription;

constexpr std::size_t kPackets = 2000;
constexpr std::int64_t kStart_s = 1'795'308'705;

class StepClock final : public fealty::Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override {
    return now_s * 1000;
  }
  [[nodiscard]] std::int64_t unix_s() const override { return now_s; }
  std::int64_t now_s = kStart_s;
};

std::string encode(std::int64_t stamp_s, std::string_view signature) {
  std::array<char, 2048> buffer;
  fealty::wire::UwsgiWriter writer(buffer);
  writer.add("key", "www.customer.example.com");
  writer.add("address", "/containers/30001/run/www.customer.example.com_1.socket");
  for (const char* const name : {"modifier1", "modifier2", "load", "weight"}) {
    writer.add(name, "0");
  }
  writer.add("cores", "8");
  writer.add("unix", std::to_string(stamp_s));
  if (!signature.empty()) writer.add("sign", signature);
  const auto packet = writer.finish(224, 0);
  return {packet.begin(), packet.end()};
}

const unsigned char* bytes_at(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// A customer, his key on disk, and his packets. Made once.
class Signed {
 public:
  Signed() : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048})) {
    std::string name =
        (std::filesystem::temp_directory_path() / "fealty-bench-XXXXXX")
            .string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    directory_ = name;
    write_key();
    for (std::size_t i = 0; i < kPackets; ++i) {
      packets_.push_back(sign(kStart_s + static_cast<std::int64_t>(i)));
    }
    ::sleep(3);  // a key that has only just been written is read again each time
  }
  ~Signed() {
    EVP_PKEY_free(key_);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  Signed(const Signed&) = delete;
  Signed& operator=(const Signed&) = delete;

  [[nodiscard]] EVP_PKEY* key() const { return key_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const std::string& packet(std::size_t i) const {
    return packets_[i];
  }

 private:
  void write_key() const {
    const std::string path = directory_ + "/www.customer.example.com.pem";
    std::FILE* const file = std::fopen(path.c_str(), "we");
    if (file == nullptr || PEM_write_PUBKEY(file, key_) != 1) std::abort();
    std::fclose(file);
  }
  [[nodiscard]] std::string sign(std::int64_t stamp_s) const {
    const std::string bare = encode(stamp_s, "");
    const auto content = std::string_view(bare).substr(4);
    std::array<unsigned char, 256> out{};
    std::size_t size = out.size();
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha1(), nullptr, key_);
    EVP_DigestSign(context, out.data(), &size, bytes_at(content),
                   content.size());
    EVP_MD_CTX_free(context);
    return encode(stamp_s, {reinterpret_cast<const char*>(out.data()), size});
  }

  EVP_PKEY* key_;
  std::string directory_;
  std::vector<std::string> packets_;
};

const Signed& customer() {
  static const Signed made;
  return made;
}

void verify_bare(benchmark::State& state) {
  const Signed& signer = customer();
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  std::size_t next = 0;
  for (auto _ : state) {
    const std::string_view packet = signer.packet(next);
    const auto content = packet.substr(4, packet.size() - 4 - 8 - 256);
    EVP_DigestVerifyInit(context, nullptr, sha1, nullptr, signer.key());
    if (EVP_DigestVerify(context, bytes_at(packet) + packet.size() - 256, 256,
                         bytes_at(content), content.size()) != 1) {
      state.SkipWithError("the signature does not fit");
      break;
    }
    if (++next == kPackets) next = 0;
  }
  EVP_MD_free(sha1);
  EVP_MD_CTX_free(context);
}

// What a router has for it.
struct Subscriptions {
  explicit Subscriptions(const Options& options)
      : verifier(options, clock), table(clock, 30'000, true) {}

  bool take(std::string_view packet) {
    const auto announcement = parse_announcement(packet);
    if (!announcement) return false;
    const auto accepted = verifier.check(*announcement, {});
    if (!accepted || accepted->duplicate) return false;
    if (!table.apply(*announcement, std::nullopt)) return false;
    verifier.commit(*accepted);
    return true;
  }

  StepClock clock;
  Verifier verifier;
  Table table;
};

void verify_signed_refresh(benchmark::State& state) {
  Options options;
  options.sign_check = SignCheck{};
  options.sign_check->keys = customer().directory();
  auto router = std::make_unique<Subscriptions>(options);
  std::size_t next = 0;
  for (auto _ : state) {
    if (!router->take(customer().packet(next))) {
      state.SkipWithError("a good packet was refused");
      break;
    }
    ++router->clock.now_s;
    if (++next < kPackets) continue;
    state.PauseTiming();
    router = std::make_unique<Subscriptions>(options);
    next = 0;
    state.ResumeTiming();
  }
}

void verify_unsigned_refresh(benchmark::State& state) {
  const Options options;
  Subscriptions router(options);
  const std::string packet = encode(kStart_s, "");
  for (auto _ : state) {
    if (!router.take(packet)) {
      state.SkipWithError("a good packet was refused");
      break;
    }
  }
}

// What a flood of forgeries from one source costs once its budget is used up.
void verify_over_budget(benchmark::State& state) {
  Options options;
  options.sign_check = SignCheck{};
  options.sign_check->keys = customer().directory();
  Subscriptions router(options);
  std::string packet = customer().packet(0);
  packet.back() = static_cast<char>(packet.back() ^ 1);
  for (int i = 0; i < 10'000; ++i) static_cast<void>(router.take(packet));
  for (auto _ : state) {
    if (router.take(packet)) {
      state.SkipWithError("a forged packet was taken");
      break;
    }
  }
}

BENCHMARK(verify_bare);
BENCHMARK(verify_signed_refresh);
BENCHMARK(verify_unsigned_refresh);
BENCHMARK(verify_over_budget);

}  // namespace
