#include "api/database.h"

#include <gtest/gtest.h>

#include <thread>

#include "api/migrations.h"
#include "tests/unit/api/support.h"

namespace fealty::api {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() : database_(open()) {}
  std::unique_ptr<Database> open() {
    auto opened = Database::open("sqlite://" + folder_.file("api.db"), 4);
    if (!opened) ADD_FAILURE() << opened.error().message;
    return *std::move(opened);
  }
  void add_tag(Transaction& transaction, const std::string& name) {
    transaction.insert("datacenters", {{"name", name},
                                       {"description", "d"},
                                       {"note", nullptr_text()}});
  }
  static std::string nullptr_text() { return ""; }
  std::int64_t count() {
    std::int64_t found = 0;
    EXPECT_EQ(200, database_->read([&](Transaction& transaction) {
      found = transaction.one("count(*) AS n", "FROM datacenters")->integer("n");
      return ok_message();
    }).status);
    return found;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, RowsComeBackAsTheyWereWritten) {
  const Answer answer = database_->write([](Transaction& transaction) {
    const auto id = transaction.insert(
        "news", {{"content", "caffè ☕ 'quoted' ?"},
                 {"date", std::int64_t{5'000'000'000}},
                 {"public", std::int64_t{1}}});
    const auto row =
        transaction.one("id, content, date, public", "FROM news WHERE id = ?", {id});
    EXPECT_EQ(row->text("content"), "caffè ☕ 'quoted' ?");
    EXPECT_EQ(row->integer("date"), 5'000'000'000);
    EXPECT_TRUE(row->boolean("public"));
    EXPECT_FALSE(transaction.one("id", "FROM news WHERE id = ?", {id + 1}));
    return ok_message();
  });
  EXPECT_EQ(answer.status, 200);
}

TEST_F(DatabaseTest, NullIsToldFromEmpty) {
  static_cast<void>(database_->read([](Transaction& transaction) {
    const auto row = transaction.one("NULL AS a, '' AS b, 7 AS c", "");
    EXPECT_TRUE(row->is_null("a"));
    EXPECT_TRUE(row->text_or_null("a").is_null());
    EXPECT_FALSE(row->is_null("b"));
    EXPECT_EQ(row->integer_or_null("c"), Json(7));
    return ok_message();
  }));
}

TEST_F(DatabaseTest, ManyRowsAreReadToTheLast) {
  for (const std::int64_t many : {127, 128, 129, 256, 1000}) {
    static_cast<void>(database_->read([&](Transaction& transaction) {
      const Rows rows = transaction.select(
          "i", "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
               "FROM n WHERE i < ?) SELECT i FROM n) AS numbers", {many});
      EXPECT_EQ(rows.size(), static_cast<std::size_t>(many));
      EXPECT_EQ(rows.back().integer("i"), many);
      return ok_message();
    }));
  }
}

TEST_F(DatabaseTest, NothingStaysOfWhatWasRefused) {
  const Answer answer = database_->write([&](Transaction& transaction) {
    add_tag(transaction, "one");
    return conflict("no");
  });
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(count(), 0);
}

TEST_F(DatabaseTest, ConstraintInTheWayIsAConflict) {
  const auto add = [&](Transaction& transaction) {
    add_tag(transaction, "one");
    return ok_message();
  };
  EXPECT_EQ(database_->write(add).status, 200);
  EXPECT_EQ(database_->write(add).status, 409);
  EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, WritersOfTwoProcessesTakeTurns) {
  const auto other = open();
  const auto work = [&](Database& database, const std::string& prefix) {
    for (int i = 0; i < 50; ++i) {
      const Answer answer = database.write([&](Transaction& transaction) {
        add_tag(transaction, prefix + std::to_string(i));
        return ok_message();
      });
      EXPECT_EQ(answer.status, 200);
    }
  };
  std::thread one([&] { work(*database_, "a"); });
  std::thread two([&] { work(*other, "b"); });
  std::thread three([&] { work(*database_, "c"); });
  one.join();
  two.join();
  three.join();
  EXPECT_EQ(count(), 150);
}

TEST_F(DatabaseTest, DaysAndAgesAreLookedUpByAnIndex) {
  const std::pair<const char*, const char*> wanted[] = {
      {"domain_metrics WHERE domain_id = 1 AND unix >= 5", "domain_metrics_day"},
      {"audit WHERE unix <= 5", "audit_unix"},
      {"answered WHERE unix <= 5", "answered_unix"},
      {"events WHERE customer_id = 1 AND id > 5", "events_customer"}};
  static_cast<void>(database_->read([&](Transaction& transaction) {
    for (const auto& [rest, index] : wanted) {
      // Only such an index can be asked for by its name.
      std::string from = "FROM " + std::string(rest);
      from.insert(from.find(" WHERE"), " INDEXED BY " + std::string(index));
      EXPECT_EQ(transaction.one("count(*) AS n", from)->integer("n"), 0) << index;
    }
    return ok_message();
  }));
}

TEST_F(DatabaseTest, RowsAreVisitedUntilThatIsEnough) {
  for (const std::int64_t enough : {1, 128, 129, 300}) {
    std::int64_t seen = 0;
    static_cast<void>(database_->read([&](Transaction& transaction) {
      transaction.each("i, NULL AS missing",
                       "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT "
                       "i + 1 FROM n WHERE i < 300) SELECT i FROM n) AS numbers",
                       {}, [&](const RowView& row) {
                         EXPECT_EQ(row.integer(0), ++seen);
                         EXPECT_TRUE(row.is_null(1));
                         return seen < enough;
                       });
      return ok_message();
    }));
    EXPECT_EQ(seen, enough);
  }
}

TEST_F(DatabaseTest, MigratingAgainChangesNothing) {
  EXPECT_TRUE(migrate(*database_));
  EXPECT_TRUE(migrate(*database_));
}

TEST_F(DatabaseTest, DatabaseOfALaterVersionIsLeftAlone) {
  static_cast<void>(database_->write([](Transaction& transaction) {
    transaction.run("UPDATE schema_version SET version = 99");
    return ok_message();
  }));
  EXPECT_FALSE(migrate(*database_));
  // Whoever has it open already writes no more, and still reads.
  EXPECT_EQ(database_->write([](Transaction&) { return ok_message(); }).status,
            503);
  EXPECT_EQ(count(), 0);
}

TEST(DatabaseOpen, SaysWhatIsWrong) {
  const auto opened = Database::open("mysql://x", 1);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("sqlite"), std::string::npos);
  EXPECT_FALSE(Database::open("sqlite:///nowhere/at/all.db", 1));
}

}  // namespace
}  // namespace fealty::api
