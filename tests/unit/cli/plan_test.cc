#include "cli/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace fealty::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

template <typename Change>
std::string problem(Change change) {
  SubscribeArguments arguments = test::typed();
  change(arguments);
  const auto plan = make_plan(arguments);
  return plan ? "" : plan.error().message;
}

template <typename Change>
Plan plan_with(Change change) {
  SubscribeArguments arguments = test::typed();
  change(arguments);
  return test::planned(arguments);
}

TEST(MakePlan, TakesWhatIsUsual) {
  const Plan plan = test::planned();
  ASSERT_EQ(plan.servers.size(), 1U);
  EXPECT_TRUE(plan.servers[0].local);
  EXPECT_THAT(plan.keys, ElementsAre("example.com"));
  EXPECT_EQ(plan.packet.address, "127.0.0.1:3000");
  EXPECT_EQ(plan.packet.proto, "http");
  EXPECT_EQ(plan.every_ms, 10'000);
  EXPECT_EQ(plan.drain_ms, 1'000);
  ASSERT_TRUE(plan.check);
  EXPECT_EQ(plan.check->text, "127.0.0.1:3000");
  EXPECT_THAT(plan.check->request, IsEmpty());
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(MakePlan, NamesTheOptionThatIsWrong) {
  using A = SubscribeArguments;
  EXPECT_THAT(problem([](A& a) { a.servers = {"localhost:1"}; }),
              StartsWith("--server"));
  EXPECT_THAT(problem([](A& a) { a.keys = {"a b"}; }), StartsWith("--key"));
  EXPECT_THAT(problem([](A& a) { a.keys = {"a.test", "A.test."}; }),
              HasSubstr("twice"));
  EXPECT_THAT(problem([](A& a) { a.address = "3000"; }), StartsWith("--addr"));
  EXPECT_THAT(problem([](A& a) { a.address = "/run/../x"; }),
              StartsWith("--addr"));
  for (const char* const sign : {"SHA1", "SHA1:", "MD5:/k", "/k", ":"}) {
    EXPECT_THAT(problem([&](A& a) { a.sign = sign; }), StartsWith("--sign"))
        << sign;
  }
  EXPECT_THAT(problem([](A& a) { a.notify = "nowhere"; }),
              StartsWith("--notify"));
  EXPECT_THAT(problem([](A& a) { a.every = "1ms"; }), StartsWith("--every"));
  EXPECT_THAT(problem([](A& a) { a.every = "soon"; }), StartsWith("--every"));
  EXPECT_THAT(problem([](A& a) { a.drain = "1h"; }), StartsWith("--drain"));
  EXPECT_THAT(problem([](A& a) { a.check_url = "https://a.test/"; }),
              StartsWith("--check-url"));
  EXPECT_THAT(problem([](A& a) { a.check_url = "a.test/x"; }),
              StartsWith("--check-url"));
  for (const char* const url :
       {"http://127.0.0.1:99999/", "http://127.0.0.1:/", "http://127.0.0.1:0/",
        "http://127.0.0.1:8x/", "http://u@127.0.0.1:80/"}) {
    EXPECT_THAT(problem([&](A& a) { a.check_url = url; }),
                HasSubstr("host:port")) << url;
  }
  EXPECT_THAT(problem([](A& a) { a.check_url = "/a b"; }),
              StartsWith("--check-url"));
  EXPECT_THAT(problem([](A& a) { a.check_url = "http://host.invalid/"; }),
              StartsWith("--check-url"));
  EXPECT_THAT(problem([](A& a) { a.check_address = "x"; }),
              StartsWith("--check-address"));
  EXPECT_THAT(problem([](A& a) { a.chmod_socket = "666"; }),
              HasSubstr("not on a Unix socket"));
  EXPECT_THAT(problem([](A& a) {
                a.address = "/x";
                a.chmod_socket = "888";
              }),
              HasSubstr("octal"));
  EXPECT_THAT(problem([](A& a) {
                a.sni_key = a.sni_crt = "/k";
                a.sni_ca = "!";
              }),
              StartsWith("--sni-ca"));
}

TEST(MakePlan, WarnsOfWhatARouterMayRefuse) {
  using A = SubscribeArguments;
  EXPECT_THAT(plan_with([](A& a) { a.address = "8.8.8.8:80"; }).warnings,
              ElementsAre(HasSubstr("allow_addresses")));
  EXPECT_THAT(plan_with([](A& a) { a.servers = {"10.0.0.1:2626"}; }).warnings,
              ElementsAre(HasSubstr("another host")));
  EXPECT_THAT(plan_with([](A& a) {
                a.servers = {"10.0.0.1:2626"};
                a.address = ":3000";
              }).warnings,
              ElementsAre(HasSubstr("the router's own host")));
  EXPECT_THAT(plan_with([](A& a) { a.every = "20s"; }).warnings,
              ElementsAre(HasSubstr("tolerance")));
  EXPECT_THAT(plan_with([](A& a) {
                a.sni_key = a.sni_crt = "/no/such/file";
              }).warnings,
              Contains(HasSubstr("--embed-sni")));
}

TEST(MakePlan, MakesPathsAbsolute) {
  const Plan plan = plan_with([](SubscribeArguments& a) {
    a.sign = "sha256:k.pem";
    a.sni_key = "k.pem";
    a.sni_crt = "../c.pem";
    a.sni_ca = "!ca.pem";
  });
  EXPECT_EQ(plan.sign->digest, wire::Digest::kSha256);
  for (const std::string& path :
       {plan.sign->path, plan.sni->key, plan.sni->crt, plan.sni->ca}) {
    EXPECT_TRUE(path.starts_with('/')) << path;
    EXPECT_EQ(path.find(".."), path.npos) << path;
  }
  EXPECT_TRUE(plan.sni->ca_required);
}

TEST(MakePlan, ChecksAUrlAtTheApplicationOrElsewhere) {
  const Plan own = plan_with([](SubscribeArguments& a) {
    a.keys = {".example.com"};
    a.check_url = "/health?x=1";
  });
  EXPECT_THAT(own.check->request, StartsWith("GET /health?x=1 HTTP/1.1\r\n"
                                             "Host: check.example.com\r\n"));
  EXPECT_EQ(own.check->addresses[0].to_string(), "127.0.0.1:3000");
  const Plan other = plan_with(
      [](SubscribeArguments& a) { a.check_url = "http://[::1]:81"; });
  EXPECT_THAT(other.check->request,
              StartsWith("GET / HTTP/1.1\r\nHost: [::1]:81\r\n"));
  EXPECT_EQ(other.check->addresses[0].to_string(), "[::1]:81");
  const Plan elsewhere = plan_with([](SubscribeArguments& a) {
    a.address = "/containers/1/run/app.sock";
    a.check_address = "/run/app.sock";
  });
  EXPECT_EQ(elsewhere.check->addresses[0].to_string(), "/run/app.sock");
  EXPECT_EQ(elsewhere.packet.address, "/containers/1/run/app.sock");
}

// A command's life is what counts once it has come up, unless its health is
// asked for.
TEST(MakePlan, GoesOnCheckingWhereNothingElseTells) {
  using A = SubscribeArguments;
  EXPECT_TRUE(test::planned().check_goes_on);
  EXPECT_FALSE(plan_with([](A& a) { a.command = {"x"}; }).check_goes_on);
  EXPECT_TRUE(plan_with([](A& a) {
                a.command = {"x"};
                a.check_url = "/";
              }).check_goes_on);
  EXPECT_FALSE(plan_with([](A& a) { a.no_check = true; }).check);
}

TEST(Plan, ProtocolThatNoRouterServesIsWarnedOf) {
  for (const char* proto : {"fastcgi", "scgi", "f"}) {
    SubscribeArguments arguments = test::typed();
    arguments.proto = proto;
    const Plan plan = test::planned(arguments);
    ASSERT_EQ(plan.warnings.size(), 1U) << proto;
    EXPECT_NE(plan.warnings[0].find("unsupported"), std::string::npos);
  }
  for (const char* proto : {"http", "uwsgi", "h", "u"}) {
    SubscribeArguments arguments = test::typed();
    arguments.proto = proto;
    EXPECT_TRUE(test::planned(arguments).warnings.empty()) << proto;
  }
}

}  // namespace
}  // namespace fealty::cli
