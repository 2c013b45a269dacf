#include "api/domain_check.h"

#include <gtest/gtest.h>

#include <map>

namespace fealty::api {
namespace {

constexpr const char* kUuid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

// Answers from a table, "NS example.com" → records; notes who was asked for TXT.
class FakeResolver final : public Resolver {
 public:
  [[nodiscard]] Result<std::vector<std::string>> ask(
      const std::string& name, RecordType type,
      const std::vector<Address>& servers, std::int64_t) const override {
    static const std::map<RecordType, std::string> names = {
        {RecordType::kNs, "NS "}, {RecordType::kA, "A "},
        {RecordType::kAaaa, "AAAA "}, {RecordType::kTxt, "TXT "}};
    if (type == RecordType::kTxt) {
      EXPECT_FALSE(servers.empty());
      for (const Address& server : servers) asked.push_back(server.to_string());
    }
    const auto found = records.find(names.at(type) + name);
    if (found == records.end()) return std::vector<std::string>{};
    if (found->second == std::vector<std::string>{"error"}) {
      return Error{"no answer"};
    }
    return found->second;
  }
  std::map<std::string, std::vector<std::string>> records;
  mutable std::vector<std::string> asked;
};

class DomainCheckTest : public testing::Test {
 protected:
  DomainCheckTest() {
    resolver_.records = {{"NS example.com", {"ns.example.net"}},
                         {"A ns.example.net", {"8.8.8.8"}},
                         {"TXT example.com", {"v=spf1", std::string("uwsgi:") + kUuid}}};
  }
  Status check(const std::string& domain, bool allow_private = false) {
    DnsOptions options;
    options.allow_private = allow_private;
    const auto checked = DomainCheck(resolver_, options).check(domain, kUuid);
    if (checked) return Ok{};
    return Error{checked.error().reason};
  }
  FakeResolver resolver_;
};

TEST_F(DomainCheckTest, RecordOfTheNameOrAParentCounts) {
  EXPECT_TRUE(check("example.com"));
  EXPECT_TRUE(check(".example.com"));
  EXPECT_TRUE(check("a.b.example.com"));
  EXPECT_EQ(resolver_.asked.front(), "8.8.8.8:53");
}

TEST_F(DomainCheckTest, AnotherTextDoesNot) {
  for (const std::string& text :
       {std::string("uwsgi:"), std::string("uwsgi:") + kUuid + " ",
        std::string(" uwsgi:") + kUuid, std::string(kUuid)}) {
    resolver_.records["TXT example.com"] = {text};
    EXPECT_FALSE(check("example.com")) << text;
  }
}

TEST_F(DomainCheckTest, PublicSuffixIsNeverAsked) {
  for (const char* name : {"co.uk", ".co.uk", "github.io"}) {
    resolver_.records["NS " + std::string(name)] = {"ns.example.net"};
    resolver_.records["TXT " + std::string(name)] = {std::string("uwsgi:") + kUuid};
    EXPECT_FALSE(check(name)) << name;
  }
  resolver_.records["NS a.co.uk"] = {"ns.example.net"};
  resolver_.records["TXT co.uk"] = {std::string("uwsgi:") + kUuid};
  EXPECT_FALSE(check("a.co.uk"));
}

TEST_F(DomainCheckTest, PrivateNameServersAreAskedOnlyWhereThatIsAllowed) {
  resolver_.records["A ns.example.net"] = {"10.0.0.1", "127.0.0.1"};
  resolver_.records["AAAA ns.example.net"] = {"::1", "fe80::1"};
  const Status status = check("example.com");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("no name server"), std::string::npos);
  EXPECT_TRUE(resolver_.asked.empty());
  EXPECT_TRUE(check("example.com", true));
}

TEST_F(DomainCheckTest, ServersThatFailAreTold) {
  resolver_.records["TXT example.com"] = {"error"};
  const Status status = check("example.com");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("no answer"), std::string::npos);
}

TEST(IsDomain, KnowsTheForm) {
  for (const char* name : {"example.com", ".example.com", "xn--mnchen-3ya.de", "a.b-c.d1"}) {
    EXPECT_TRUE(is_domain(name)) << name;
  }
  for (const char* name : {"", ".", "com", "..com", "a..b", "A.com", "a_b.com", "-a.com",
                           "a-.com", "a.com.", "a b.com", "1.2.3.4", "*.a.com",
                           "127.0.0.0x1", "127.0x1", "0x7f.1a", ".1.0x7f000001"}) {
    EXPECT_FALSE(is_domain(name)) << name;
  }
  EXPECT_FALSE(is_domain(std::string(64, 'a') + ".com"));
}

TEST(IsGlobal, LeavesOutWhatIsNot) {
  const auto global = [](const char* text) { return is_global(*Address::parse(text)); };
  for (const char* text : {"8.8.8.8:53", "[2600::1]:53", "172.32.0.1:53"}) {
    EXPECT_TRUE(global(text)) << text;
  }
  for (const char* text :
       {"10.1.2.3:53", "127.0.0.1:53", "169.254.169.254:53", "172.16.0.1:53",
        "192.168.1.1:53", "100.64.0.1:53", "0.0.0.0:53", "224.0.0.1:53",
        "255.255.255.255:53", "[::1]:53", "[fe80::1]:53", "[fc00::1]:53",
        "[::ffff:10.0.0.1]:53", "[64:ff9b::a00:1]:53", "[2002:a00:1::]:53"}) {
    EXPECT_FALSE(global(text)) << text;
  }
}

}  // namespace
}  // namespace fealty::api
