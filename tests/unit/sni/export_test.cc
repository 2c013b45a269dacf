#include "sni/export.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace fealty::sni {
namespace {

using test::guarded;
using test::make_ca;
using test::make_certificate;
using test::make_server;
using test::Texts;
using test::texts_of;
using test::Wish;

class ExportTest : public testing::Test {
 protected:
  // What another store makes of all that is exported of `name`.
  const Identity* moved(const std::string& name) {
    const Identity* const identity = first_.find_exact(name);
    EXPECT_NE(identity, nullptr);
    std::uint64_t number = 0;
    for (const ExportedIdentity& each : export_identity(*identity)) {
      EXPECT_EQ(each.name, name);
      EXPECT_TRUE(second_.put(each.name,
                              {each.chain, each.key, each.client_ca,
                               each.client_crl, each.client_demanded,
                               each.client_depth},
                              {0, number++}));
    }
    return second_.find_exact(name);
  }

  test::FakeClock clock_;
  Store first_{clock_};
  Store second_{clock_};
};

TEST_F(ExportTest, SessionsAndRulesAreThoseOfBefore) {
  ASSERT_TRUE(first_.put("a.test", guarded(make_server("a.test"),
                                           make_ca("ca")).pem()));
  const Identity* const identity = moved("a.test");
  ASSERT_NE(identity, nullptr);
  EXPECT_EQ(identity->binding(), first_.find_exact("a.test")->binding());
  ASSERT_NE(identity->policy(), nullptr);
  EXPECT_TRUE(identity->policy()->demands());
  EXPECT_EQ(identity->policy()->digest(),
            first_.find_exact("a.test")->policy()->digest());
}

TEST_F(ExportTest, EachKindOfKeyComesAlong) {
  Wish wish;
  wish.subject = {{"CN", "b.test"}};
  wish.key = test::make_rsa_key();
  ASSERT_TRUE(first_.put("b.test", texts_of(make_server("b.test")).pem(),
                         {1, 1}));
  ASSERT_TRUE(first_.put("b.test", texts_of(make_certificate(wish)).pem(),
                         {1, 2}));
  const Identity* const identity = moved("b.test");
  ASSERT_NE(identity, nullptr);
  for (const CredentialRef& credential : identity->slots()) {
    EXPECT_NE(credential, nullptr);
  }
}

}  // namespace
}  // namespace fealty::sni
