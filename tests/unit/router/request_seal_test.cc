#include "router/request_seal.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <string>
#include <vector>

#include "router/node_uwsgi.h"
#include "router/uwsgi_request.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

constexpr std::int64_t kNow_s = 1'795'308'705;

std::string key_of(unsigned char first) {
  std::string key(RequestSeal::kKeyBytes, '\0');
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<char>(first + i);
  }
  return key;
}

class RequestSealTest : public testing::Test {
 protected:
  RequestSealTest() {
    wire::UwsgiWriter writer(packet_);
    for (const auto& [name, value] :
         {std::pair{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/"},
          {"HTTP_HOST", "a.test"}, {"HTTPS", "on"}, {"HTTPS_DN", "/CN=me"}}) {
      writer.add(name, value);
    }
    bytes_ = writer.finish(0, 0).size();
  }
  [[nodiscard]] std::string_view data() const {
    return std::string_view(packet_.data(), bytes_)
        .substr(wire::kUwsgiHeaderBytes);
  }
  // As a fastrouter sees it.
  [[nodiscard]] bool is_good(std::int64_t now_s = kNow_s) {
    if (parse_uwsgi_request(data(), names_, request_, head_).status != 0) {
      return false;
    }
    return seal_.is_good(request_.seal, request_.sealed, now_s);
  }
  void add_pair(std::string_view name, std::string_view value) {
    bytes_ = wire::append_pair(packet_, bytes_, name, value);
  }
  void seal() { bytes_ = seal_.add(packet_, bytes_, kNow_s); }

  std::vector<char> packet_ = std::vector<char>(wire::kUwsgiPacketBytesMax);
  std::size_t bytes_ = 0;
  std::vector<char> names_ = std::vector<char>(kHeaderNamesBytesMax);
  UwsgiRequest request_;
  http::RequestHead head_;
  RequestSeal seal_ = *RequestSeal::with(key_of(1));
};

TEST_F(RequestSealTest, MacIsHmacSha256) {
  const std::string before(data());
  seal();
  ASSERT_TRUE(is_good());
  EXPECT_EQ(request_.sealed, before);
  const std::string stamp = std::to_string(kNow_s) + ":";
  const std::string text = stamp + before;
  std::array<unsigned char, 32> mac{};
  const std::string key = key_of(1);
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       mac.data(), nullptr);
  std::string digits;
  for (int i = 0; i < 16; ++i) {
    std::array<char, 3> pair{};
    std::snprintf(pair.data(), pair.size(), "%02x", mac[static_cast<std::size_t>(i)]);
    digits += pair.data();
  }
  EXPECT_EQ(request_.seal, stamp + digits);
}

TEST_F(RequestSealTest, EveryChangedByteShows) {
  seal();
  for (std::size_t i = wire::kUwsgiHeaderBytes; i < bytes_; ++i) {
    packet_[i] = static_cast<char>(packet_[i] ^ 1);
    EXPECT_FALSE(is_good()) << i;
    packet_[i] = static_cast<char>(packet_[i] ^ 1);
  }
  EXPECT_TRUE(is_good());
}

TEST_F(RequestSealTest, AnotherSecretsSealIsNone) {
  bytes_ = RequestSeal::with(key_of(2))->add(packet_, bytes_, kNow_s);
  EXPECT_FALSE(is_good());
}

TEST_F(RequestSealTest, ItCountsForAMinute) {
  seal();
  for (const std::int64_t off : {-60, 60}) {
    EXPECT_TRUE(is_good(kNow_s + off));
    EXPECT_FALSE(is_good(kNow_s + off + (off > 0 ? 1 : -1)));
  }
}

TEST_F(RequestSealTest, OnlyALengthMayStandBehindIt) {
  seal();
  add_pair("CONTENT_LENGTH", "12");
  EXPECT_TRUE(is_good());
  add_pair("HTTPS_DN2", "x");
  EXPECT_FALSE(is_good());
}

TEST_F(RequestSealTest, OfTwoTheLastOneCountsWithAllBeforeIt) {
  seal();
  add_pair(RequestSeal::kVariable, "1:0");
  EXPECT_FALSE(is_good());
  seal();
  EXPECT_TRUE(is_good());
}

TEST_F(RequestSealTest, OddValuesAreNone) {
  seal();
  ASSERT_TRUE(is_good());
  const std::string good(request_.seal);
  const std::string sealed(request_.sealed);
  const std::string mac = good.substr(good.find(':'));
  for (const std::string& value :
       {std::string(), mac, mac.substr(1), good + "0", good.substr(1), " " + good,
        "-1" + mac, "99999999999999999999999" + mac, good.substr(0, good.size() - 1)}) {
    EXPECT_FALSE(seal_.is_good(value, sealed, kNow_s)) << value;
  }
}

TEST_F(RequestSealTest, ItGoesNoFurther) {
  seal();
  ASSERT_TRUE(is_good());
  std::vector<char> out(wire::kUwsgiPacketBytesMax);
  std::size_t bytes = 0;
  UwsgiForward how;
  how.peer_trusted = true;
  ASSERT_EQ(forward_uwsgi_request(request_, how, out, bytes), Encoded::kOk);
  const std::string_view forwarded(out.data(), bytes);
  EXPECT_EQ(forwarded.find(RequestSeal::kVariable), forwarded.npos);
  EXPECT_NE(forwarded.find("HTTPS_DN"), forwarded.npos);
}

TEST(RequestSeal, KeyOfAnotherSizeIsNone) {
  EXPECT_FALSE(RequestSeal::with(""));
  EXPECT_FALSE(RequestSeal::with("short"));
}

}  // namespace
}  // namespace fealty::router
