// Verification against two customers' keys. The first byte chooses between one
// raw datagram, which must not count, and a sequence of well-made packets,
// genuine, tampered with and replayed, beside a model that forgets nothing:
// whatever is accepted must be so by the rules of docs/protocol/subscription.md.

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "subscription/verify.h"
#include "wire/uwsgi_packet.h"

namespace {

using namespace fealty::subscription;
using fealty::Address;

constexpr std::int64_t kTolerance_s = 60;
constexpr std::size_t kStepsMax = 64;

class StepClock final : public fealty::Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override {
    return now_s * 1000;
  }
  [[nodiscard]] std::int64_t unix_s() const override { return now_s; }
  std::int64_t now_s = 1'700'000'000;
};

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

// Ed25519 from a fixed seed.
class Customer {
 public:
  explicit Customer(unsigned char seed) {
    const std::array<unsigned char, 32> bytes{seed};
    key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                            bytes.data(), bytes.size()));
    FEALTY_CHECK(key_ != nullptr);
  }
  void write_public(const std::string& path) const {
    std::FILE* const file = std::fopen(path.c_str(), "we");
    FEALTY_CHECK(file != nullptr);
    FEALTY_CHECK(PEM_write_PUBKEY(file, key_.get()) == 1);
    std::fclose(file);
  }
  [[nodiscard]] std::string sign(std::string_view bytes) const {
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    std::array<unsigned char, 64> out{};
    std::size_t size = out.size();
    EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key_.get());
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
    EVP_DigestSign(context, out.data(), &size, at, bytes.size());
    EVP_MD_CTX_free(context);
    return {reinterpret_cast<const char*>(out.data()), size};
  }

 private:
  std::unique_ptr<EVP_PKEY, FreeKey> key_;
};

constexpr std::array<std::string_view, 8> kKeys = {
    "a.test",     "A.test.:80", "x.a.test", ".a.test",
    "a.test/b.test", "b.test",  "b.test:80", "B.TEST/a.test"};
constexpr std::array<std::string_view, 4> kAddresses = {
    "/run/1", "127.0.0.1:80", ":80", "@x"};

// The keys on disk, made once. a.test and .a.test are the first customer's,
// b.test the second's.
struct Stage {
  Stage() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fealty-fuzz-XXXXXX")
            .string();
    FEALTY_CHECK(::mkdtemp(name.data()) != nullptr);
    directory = name;
    customers[0].write_public(directory + "/a.test.pem");
    customers[0].write_public(directory + "/.a.test.pem");
    customers[1].write_public(directory + "/b.test.pem");
    options.sign_check = SignCheck{};
    options.sign_check->keys = directory;
    options.sign_check->tolerance_s = kTolerance_s;
    options.check_shares = {1'000'000'000, 1'000'000'000, 1'000'000'000,
                            1'000'000'000};
  }
  ~Stage() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  std::array<Customer, 2> customers{Customer{1}, Customer{2}};
  std::string directory;
  Options options;
};

Stage& stage() {
  static Stage made;
  return made;
}

std::string encode(const std::vector<std::pair<std::string, std::string>>& in,
                   std::uint8_t modifier2) {
  std::array<char, 4096> buffer;
  fealty::wire::UwsgiWriter writer(buffer);
  for (const auto& [key, value] : in) writer.add(key, value);
  const auto packet = writer.finish(224, modifier2);
  return {packet.begin(), packet.end()};
}

struct Taken {
  bool as_subscribe = false;
};
struct ModelNode {
  std::int64_t greatest_s = 0;
  bool live = false;
  std::map<std::string, Taken> contents;
  std::string last;
};

class Run {
 public:
  Run() : verifier_(stage().options, clock_) {}

  // Bytes of a step: what, key, address, stamp.
  void step(const std::uint8_t* in) {
    clock_.now_s += in[0] & 3;
    if ((in[0] & 0x7c) == 0x7c) clock_.now_s += 150;
    const std::uint8_t modifier2 = in[0] >> 7;
    if (!packets_.empty() && (in[1] & 0x80) != 0) {
      std::string packet = packets_[in[2] % packets_.size()];
      packet[3] = static_cast<char>(modifier2);
      return judge(packet, in[3] & 1, -1);
    }
    const int customer = in[2] >> 7;
    packets_.push_back(make(in, customer, modifier2));
    judge(packets_.back(), (in[3] & 1) != 0, customer);
  }

 private:
  std::string make(const std::uint8_t* in, int customer,
                   std::uint8_t modifier2) {
    const std::int64_t stamp_s = clock_.now_s + (in[3] >> 1) - 64;
    std::vector<std::pair<std::string, std::string>> pairs = {
        {"key", std::string(kKeys[in[1] % kKeys.size()])},
        {"address", std::string(kAddresses[in[2] % kAddresses.size()])},
        {"load", std::to_string((in[1] >> 3) & 3)},
        {"unix", std::to_string(stamp_s)}};
    const std::string bare = encode(pairs, modifier2);
    const auto index = static_cast<std::size_t>(customer);
    pairs.emplace_back(
        "sign", stage().customers[index].sign(std::string_view(bare).substr(4)));
    return encode(pairs, modifier2);
  }

  // `customer`: who signed it; -1 for a packet of before.
  void judge(const std::string& packet, bool table_takes, int customer) {
    const auto announcement = parse_announcement(packet);
    FEALTY_CHECK(announcement);
    const auto accepted = verifier_.check(*announcement, {});
    if (!accepted) return;
    ModelNode& node =
        nodes_[announcement->key + ' ' + announcement->address.to_string()];
    const std::string content(announcement->signed_bytes);
    if (accepted->duplicate) {
      FEALTY_CHECK(announcement->subscribe && node.live);
      FEALTY_CHECK(node.last == content);
      return;
    }
    if (customer >= 0) FEALTY_CHECK(owner_of(announcement->key) == customer);
    check_new(*announcement, node, content);
    if (!table_takes) return;
    verifier_.commit(*accepted);
    record(*announcement, node, content);
  }

  static int owner_of(const std::string& key) {
    return without_port(key).starts_with("b.") ? 1 : 0;
  }

  void check_new(const Announcement& announcement, const ModelNode& node,
                 const std::string& content) const {
    const std::int64_t off_s = announcement.unix_s - clock_.now_s;
    FEALTY_CHECK(off_s <= kTolerance_s && off_s >= -kTolerance_s);
    if (node.contents.empty()) return;
    FEALTY_CHECK(announcement.unix_s >= node.greatest_s - 2);
    const auto seen = node.contents.find(content);
    if (seen == node.contents.end()) return;
    FEALTY_CHECK(announcement.subscribe && !seen->second.as_subscribe);
    FEALTY_CHECK(off_s <= 2 && off_s >= -2);
  }

  static void record(const Announcement& announcement, ModelNode& node,
                     const std::string& content) {
    node.greatest_s = std::max(node.greatest_s, announcement.unix_s);
    node.live = announcement.subscribe;
    Taken& taken = node.contents[content];
    if (!announcement.subscribe) return;
    taken.as_subscribe = true;
    node.last = content;
  }

  StepClock clock_;
  Verifier verifier_;
  std::vector<std::string> packets_;
  std::map<std::string, ModelNode> nodes_;
};

void run_raw(std::string_view packet) {
  const StepClock clock;
  Verifier verifier(stage().options, clock);
  const auto announcement = parse_announcement(packet);
  if (announcement) FEALTY_CHECK(!verifier.check(*announcement, {}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  constexpr std::size_t kStepBytes = 4;
  if (size == 0) return 0;
  if (data[0] == 0) {
    run_raw({reinterpret_cast<const char*>(data) + 1, size - 1});
    return 0;
  }
  Run run;
  const std::size_t steps = std::min((size - 1) / kStepBytes, kStepsMax);
  for (std::size_t i = 0; i < steps; ++i) run.step(data + 1 + i * kStepBytes);
  return 0;
}
