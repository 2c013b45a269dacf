#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "subscription/announcement.h"
#include "subscription/pool.h"
#include "wire/uwsgi_packet.h"

// What the tests of this room share. One thread each.
namespace fealty::subscription::test {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return now_ms; }
  [[nodiscard]] std::int64_t unix_s() const override { return now_unix_s; }
  std::int64_t now_ms = 1'000'000;
  std::int64_t now_unix_s = 1'795'308'705;  // when the vectors were signed
};

class TempDir {
 public:
  TempDir() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fealty-test-XXXXXX")
            .string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string operator/(std::string_view name) const {
    return path_ + "/" + std::string(name);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::string& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.flush();
  EXPECT_TRUE(out) << path;
}

inline std::string vector_path(const std::string& name) {
  return std::string(FEALTY_VECTORS) + "/" + name;
}
inline std::string vector_file(const std::string& name) {
  return read_file(vector_path(name));
}

inline constexpr std::int64_t kTolerance_ms = 30'000;
inline constexpr auto kPem = "-----BEGIN CERTIFICATE-----\nAAAA\n";

inline Address address_of(const std::string& text) {
  const auto address = Address::parse(text);
  EXPECT_TRUE(address) << text;
  return address ? *address : Address{};
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline std::string encode(const Pairs& pairs, std::uint8_t modifier2 = 0,
                          std::uint8_t modifier1 = 224) {
  std::vector<char> buffer(wire::kUwsgiPacketBytesMax);
  wire::UwsgiWriter writer(buffer);
  for (const auto& [key, value] : pairs) writer.add(key, value);
  const auto packet = writer.finish(modifier1, modifier2);
  EXPECT_FALSE(packet.empty());
  return {packet.begin(), packet.end()};
}

// What uWSGI sends for an unsigned node.
inline Pairs plain_pairs(std::string key, std::string address) {
  return {{"key", std::move(key)},   {"address", std::move(address)},
          {"modifier1", "0"},        {"modifier2", "0"},
          {"cores", "1"},            {"load", "0"},
          {"weight", "1"}};
}

// A key pair that can sign packets as a vassal does.
class Signer {
 public:
  // The vectors' RSA key.
  static Signer customer() {
    std::FILE* const file =
        std::fopen(vector_path("customer.key").c_str(), "re");
    EXPECT_NE(file, nullptr);
    Signer signer(PEM_read_PrivateKey(file, nullptr, nullptr, nullptr));
    std::fclose(file);
    return signer;
  }
  static Signer rsa(unsigned bits) {
    return Signer(
        EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{bits}));
  }
  static Signer ec(const char* curve) {
    return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve));
  }
  static Signer ed25519() {
    return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  }

  [[nodiscard]] std::string public_pem() const {
    const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()),
                                                  BIO_free);
    EXPECT_EQ(PEM_write_bio_PUBKEY(bio.get(), key_.get()), 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }

  [[nodiscard]] std::string private_pem() const {
    const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()),
                                                  BIO_free);
    EXPECT_EQ(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr,
                                            nullptr, 0, nullptr, nullptr),
              1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }

  [[nodiscard]] std::string sign(std::string_view bytes,
                                 const char* digest) const {
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(
        EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
    std::size_t size = 0;
    EXPECT_EQ(EVP_DigestSignInit_ex(context.get(), nullptr, digest, nullptr,
                                    nullptr, key_.get(), nullptr),
              1);
    EXPECT_EQ(
        EVP_DigestSign(context.get(), nullptr, &size, at, bytes.size()), 1);
    std::string signature(size, '\0');
    EXPECT_EQ(EVP_DigestSign(
                  context.get(),
                  reinterpret_cast<unsigned char*>(signature.data()), &size, at,
                  bytes.size()),
              1);
    signature.resize(size);
    return signature;
  }

  // The packet of `pairs` with `unix` and `sign` behind them.
  [[nodiscard]] std::string packet(Pairs pairs, std::int64_t unix_s,
                                   const char* digest = "SHA1",
                                   std::uint8_t modifier2 = 0) const {
    pairs.emplace_back("unix", std::to_string(unix_s));
    const std::string bare = encode(pairs, modifier2);
    pairs.emplace_back("sign",
                       sign(std::string_view(bare).substr(4), digest));
    return encode(pairs, modifier2);
  }

 private:
  explicit Signer(EVP_PKEY* key) : key_(key, EVP_PKEY_free) {
    EXPECT_NE(key, nullptr);
  }
  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key_;
};

// A decoded announcement for tests that begin behind the decoder.
inline Announcement announce(std::string_view key, std::string_view address,
                             bool subscribe = true) {
  const auto made =
      parse_announcement(encode(plain_pairs(std::string(key),
                                            std::string(address)),
                                subscribe ? 0 : 1));
  EXPECT_TRUE(made) << key << ' ' << address;
  Announcement announcement = made ? *made : Announcement{};
  announcement.signed_bytes = {};
  announcement.signature = {};
  return announcement;
}

// A pool made by hand. Its nodes are called a, b, c…
struct PoolShape {
  std::vector<std::uint32_t> weights{};
  std::vector<std::uint8_t> levels{};      // by rising level; absent: all 0
  Algorithm algorithm = Algorithm::kWrr;
  std::vector<std::string> sleeping{};     // vassals' names
  PoolRuntime* runtime = nullptr;          // null: a new one
};

inline PoolRef make_pool(const PoolShape& shape) {
  std::vector<Ref<NodeRecord>> records;
  const auto node = [&](const std::string& name, std::string_view vassal) {
    records.push_back(NodeRecord::make(name, {}, vassal));
    return Node{.runtime = records.back().get()};
  };
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < shape.weights.size(); ++i) {
    nodes.push_back(node(std::string(1, static_cast<char>('a' + i)), ""));
    nodes.back().weight = shape.weights[i];
    if (!shape.levels.empty()) nodes.back().level = shape.levels[i];
  }
  std::vector<Node> sleeping;
  for (const auto& vassal : shape.sleeping) {
    sleeping.push_back(node(vassal, vassal));
  }
  auto runtime = Ref<PoolRuntime>::share(shape.runtime);
  if (runtime == nullptr) runtime = Ref<PoolRuntime>::adopt(new PoolRuntime);
  return Pool::make({.key = "k",
                     .algorithm = shape.algorithm,
                     .nodes = nodes,
                     .sleeping = sleeping,
                     .runtime = runtime.get()});
}

}  // namespace fealty::subscription::test
