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

TEST_F(Upkeep, WhatLayInClearIsSealed) {
  run("INSERT INTO customers (uuid, username, password, email, company, vat, "
      "rsa_private, rsa_public) VALUES ('u1', 'kratos', '', '', '', '', '', '')");
  run("INSERT INTO servers (name, address, uuid, subject, hd, memory, storage, "
      "weight, ssd, etc_resolv_conf, etc_hosts, note, mtime) VALUES "
      "('one', '10.1.0.1', 's1', '', 'sda', 1, 1, 1, 0, '', '', '', 0)");
  run("INSERT INTO containers (name, customer_id, server_id, memory, storage, uuid, "
      "secret_uuid, alarm_key, custom_distros_storage, nofollow, note, "
      "quota_threshold, alarm_freq, jid, jid_secret, jid_destinations, "
      "pushover_user, pushover_token, pushover_sound, pushbullet_token, "
      "slack_webhook, ssh_keys, ssh_keys_mtime, mtime) VALUES ('www', 1, 1, 1, 1, "
      "'c1', 'a secret', 'a key', 0, 0, '', 90, 60, '', '', '', '', '', '', '', '', "
      "'[]', 0, 0)");
  // Twice: once and for all.
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(check_seals(*database_, sealer_));
    for (const auto& [column, secret] :
         {std::pair("alarm_key", "a key"), std::pair("secret_uuid", "a secret")}) {
      EXPECT_EQ(*sealer_.open(text(column, "FROM containers"),
                              purpose_of("containers", column, "c1")), secret);
    }
  }
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
  for (const std::int64_t age : {0, 23, 25}) {
    run("INSERT INTO answered (caller, token, request, status, body, unix) "
        "VALUES ('u1', ?, '', 200, '', ?)",
        {std::to_string(age), clock.unix_s() - age * 3'600});
  }
  Housekeeper(*database_, current, clock).tidy();
  EXPECT_EQ(text("count(*)", "FROM answered"), "2");
}

}  // namespace
}  // namespace fealty::api
