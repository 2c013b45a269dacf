// What is done to a store beside requests: sealing anew, and tidying up.
#include <gtest/gtest.h>
#include <sodium.h>

#include "api/housekeeper.h"
#include "api/reseal.h"
#include "tests/unit/api/support.h"

namespace fealty::api {
namespace {

class Upkeep : public testing::Test {
 protected:
  Upkeep() {
    EXPECT_GE(sodium_init(), 0);
    auto opened = Database::open("sqlite://" + folder_.file("api.db"), 4);
    if (!opened) ADD_FAILURE() << opened.error().message;
    database_ = *std::move(opened);
  }
  void run(const std::string& sql, const Values& values = {}) {
    EXPECT_EQ(200, database_->write([&](Transaction& transaction) {
      transaction.run(sql, values);
      return ok_message();
    }).status);
  }
  std::string text(const std::string& column, const std::string& rest) {
    std::string found;
    static_cast<void>(database_->read([&](Transaction& transaction) {
      const auto row = transaction.one(column + " AS found", rest);
      found = row ? row->text("found") : "";
      return ok_message();
    }));
    return found;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Database> database_;
  const Sealer sealer_{Sealer::Key{1}};
};

TEST_F(Upkeep, WhatWasSealedForItsColumnIsSealedForItsRow) {
  run("INSERT INTO customers (uuid, username, password, email, company, vat, "
      "rsa_private, rsa_public) VALUES ('u1', 'kratos', '', '', '', '', ?, '')",
      {sealer_.seal("private", "customers.rsa_private")});
  ASSERT_TRUE(check_seals(*database_, sealer_));
  const std::string sealed = text("rsa_private", "FROM customers");
  EXPECT_EQ(*sealer_.open(sealed, purpose_of("customers", "rsa_private", "u1")),
            "private");
  // Once and for all.
  ASSERT_TRUE(check_seals(*database_, sealer_));
  EXPECT_EQ(text("rsa_private", "FROM customers"), sealed);
}

TEST_F(Upkeep, AnotherKeyIsTold) {
  ASSERT_TRUE(check_seals(*database_, sealer_));
  EXPECT_FALSE(check_seals(*database_, Sealer(Sealer::Key{2})));
}

TEST_F(Upkeep, TheAuditLogsOldestLinesGo) {
  FakeClock clock;
  Options options;
  options.limits.audit_days = 10;
  const CurrentOptions current(options);
  const std::int64_t now = clock.unix_s();
  for (const std::int64_t age : {0, 9, 11, 500}) {
    run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 600) INSERT INTO audit (unix, actor, address, request, object, "
        "object_id) SELECT ?, '', '', '', '', 0 FROM n", {now - age * 86'400});
  }
  Housekeeper(*database_, current, clock).tidy();
  EXPECT_EQ(text("count(*)", "FROM audit"), "1200");
}

TEST_F(Upkeep, AnswersGoAfterADay) {
  FakeClock clock;
  const CurrentOptions current{Options{}};
  run("INSERT INTO customers (uuid, username, password, email, company, vat, "
      "rsa_private, rsa_public) VALUES ('u1', 'kratos', '', '', '', '', '', '')");
  for (const std::int64_t age : {0, 23, 25}) {
    run("INSERT INTO answered (customer_id, token, request, status, body, unix) "
        "VALUES (1, ?, '', 200, '', ?)",
        {std::to_string(age), clock.unix_s() - age * 3'600});
  }
  Housekeeper(*database_, current, clock).tidy();
  EXPECT_EQ(text("count(*)", "FROM answered"), "2");
}

}  // namespace
}  // namespace fealty::api
