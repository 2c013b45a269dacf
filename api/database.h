#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/answer.h"
#include "base/result.h"

namespace soci {
class connection_pool;
class session;
}  // namespace soci

namespace fealty::api {

// What is given to a statement, in the order of its question marks.
using Value = std::variant<std::nullptr_t, std::int64_t, std::string>;
using Values = std::vector<Value>;
// A row's columns to write.
using Fields = std::vector<std::pair<std::string, Value>>;

// One row that was read. Every value is kept as text, as both databases write
// it; a column that was not asked for is a programmer's mistake.
class Row {
 public:
  Row(std::shared_ptr<const std::vector<std::string>> names,
      std::vector<std::optional<std::string>> values)
      : names_(std::move(names)), values_(std::move(values)) {}

  [[nodiscard]] bool is_null(std::string_view name) const;
  // "" and 0 where it is null.
  [[nodiscard]] const std::string& text(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] bool boolean(std::string_view name) const {
    return integer(name) != 0;
  }
  // As JSON, null where it is null.
  [[nodiscard]] Json text_or_null(std::string_view name) const;
  [[nodiscard]] Json integer_or_null(std::string_view name) const;

 private:
  [[nodiscard]] const std::optional<std::string>& at(
      std::string_view name) const;

  std::shared_ptr<const std::vector<std::string>> names_;
  std::vector<std::optional<std::string>> values_;
};
using Rows = std::vector<Row>;

// A row of Transaction::each, while it is visited. Columns are told by their place.
class RowView {
 public:
  virtual ~RowView() = default;
  [[nodiscard]] virtual bool is_null(std::size_t column) const = 0;
  // "" and 0 where it is null.
  [[nodiscard]] virtual std::string_view text(std::size_t column) const = 0;
  [[nodiscard]] virtual std::int64_t integer(std::size_t column) const = 0;
};

enum class Dialect : std::uint8_t { kSqlite, kPostgresql };

// The statements of one transaction; it exists only inside Database::read and
// write. Whatever goes wrong is thrown, through the caller, to those two.
class Transaction {
 public:
  Transaction(soci::session& session, Dialect dialect)
      : session_(session), dialect_(dialect) {}

  // SELECT `columns` `rest`. Columns are named as they are written: "c.name" is
  // "name", "count(*) AS total" is "total".
  [[nodiscard]] Rows select(std::string_view columns, std::string_view rest,
                            const Values& values = {});
  // The same for lists of thousands: each row is shown to `visit` and forgotten;
  // it ends where that returns false.
  void each(std::string_view columns, std::string_view rest,
            const Values& values,
            const std::function<bool(const RowView&)>& visit);
  [[nodiscard]] std::optional<Row> one(std::string_view columns,
                                       std::string_view rest,
                                       const Values& values = {});
  [[nodiscard]] bool exists(std::string_view rest, const Values& values);
  // A statement without an answer.
  void run(std::string_view sql, const Values& values = {});
  // The new row's id; tables without one are filled by run().
  std::int64_t insert(std::string_view table, const Fields& fields);
  void update(std::string_view table, std::int64_t id, const Fields& fields);
  void remove(std::string_view table, std::int64_t id);

  [[nodiscard]] Dialect dialect() const { return dialect_; }

 private:
  soci::session& session_;
  Dialect dialect_;
};

// The store: SQLite (WAL) or PostgreSQL, told apart here and in migrations.cc
// alone. Thread-safe; a call holds one of the pool's connections.
//
// Writers take turns on either, by BEGIN IMMEDIATE or an advisory lock that the
// transaction holds (docs/decisions/0031): what one has checked stays so until it
// commits. Readers see one state and wait for nobody.
class Database {
 public:
  using Body = std::function<Answer(Transaction&)>;
  static constexpr std::int64_t kPatienceMs = 10'000;

  // `url`: see Options::database. Opens the connections and migrates.
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(
      const std::string& url, std::size_t connections);
  ~Database();

  // Runs `body` in a transaction. Where its answer refuses, or it throws,
  // nothing of it stays. Run again where the database says so (busy,
  // serialization, deadlock, a connection lost before it began), so that it must
  // have no other effects. 409 where a constraint was in the way, 503 where the
  // database cannot be used, or is not free within kPatienceMs.
  [[nodiscard]] Answer read(const Body& body);
  [[nodiscard]] Answer write(const Body& body);
  // A write that changes the schema, and may take as long as that takes; the others
  // are refused (503) once it is a later one than this process knows.
  [[nodiscard]] Answer upgrade(const Body& body);

  // What a transaction is for.
  enum class Work : std::uint8_t { kRead, kWrite, kUpgrade };

  [[nodiscard]] Dialect dialect() const { return dialect_; }

 private:
  Database(Dialect dialect, std::size_t connections);
  void connect(const std::string& address, std::size_t connections);
  void set_up(soci::session& session) const;
  [[nodiscard]] bool reconnect(soci::session& session);
  [[nodiscard]] Answer write(const Body& body, Work work);
  [[nodiscard]] Answer attempt(const Body& body, Work work);
  [[nodiscard]] Answer transact(soci::session& session, const Body& body,
                                Work work, bool& begun);

  Dialect dialect_;
  std::unique_ptr<soci::connection_pool> pool_;
  std::timed_mutex writer_;         // SQLite: in this process nobody polls
};

}  // namespace fealty::api
