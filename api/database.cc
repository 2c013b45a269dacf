#include "api/database.h"

#include <libpq-fe.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sqlite3.h>

#include <array>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "api/migrations.h"
#include "base/clock.h"
#include "base/log.h"

namespace fealty::api {
namespace {

constexpr std::string_view kSqlitePrefix = "sqlite://";
constexpr std::string_view kPostgresqlPrefix = "postgresql://";
constexpr int kAttempts = 20;
// The one lock of all writers, of whatever process.
constexpr std::string_view kWritersTurn = "SELECT pg_advisory_xact_lock(300001)";
// A step of the schema takes as long as there are rows, and others wait for it.
constexpr std::array<std::string_view, 2> kUpgradeSettings = {
    "statement_timeout = 0", "lock_timeout = '30min'"};

// Nobody waits for a lock, a statement or an idle transaction without end.
constexpr std::array<std::string_view, 4> kPostgresqlSettings = {
    "client_min_messages = warning", "lock_timeout = '10s'",
    "statement_timeout = '30s'", "idle_in_transaction_session_timeout = '60s'"};

// A libpq URI as the `key=value` words that SOCI reads; it takes no blanks in them.
Result<std::string> connection_words(const std::string& url) {
  char* problem = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(url.c_str(), &problem), PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> message(problem, PQfreemem);
  if (!options) {
    return Error{"database: " + log::printable(problem != nullptr ? problem : url)};
  }
  std::string words;
  for (const PQconninfoOption* option = options.get();
       option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string value = option->val;
    if (value.find_first_of(" \t\n'\\") != std::string::npos) {
      return Error{std::string("database: blanks and quotes in ") +
                   option->keyword};
    }
    words += (words.empty() ? "" : " ") + std::string(option->keyword) + "=" +
             value;
  }
  return words;
}

enum class Failure : std::uint8_t {
  kAgain, kBusy, kConstraint, kConnection, kOther,
};

Failure judge_sqlite(const soci::sqlite3_soci_error& error) {
  switch (error.result() & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Failure::kAgain;
    case SQLITE_CONSTRAINT: return Failure::kConstraint;
    default: break;
  }
  // SOCI does not always hand the code on.
  const std::string_view what = error.what();
  if (what.find("constraint failed") != what.npos) return Failure::kConstraint;
  if (what.find("is locked") != what.npos) return Failure::kAgain;
  return Failure::kOther;
}

Failure judge_postgresql(const soci::postgresql_soci_error& error) {
  const std::string state = error.sqlstate();
  if (state == "40001" || state == "40P01") return Failure::kAgain;
  // Its time limits.
  if (state == "55P03" || state == "57014") return Failure::kBusy;
  if (state.starts_with("23")) return Failure::kConstraint;
  // No state: the connection broke. 57P0x: the server is on its way out or in.
  const bool lost = state.starts_with("08") || state.starts_with("57P") ||
                    state.find_first_not_of(" ") == state.npos;
  return lost ? Failure::kConnection : Failure::kOther;
}

Failure judge(const std::exception& error) {
  if (const auto* sqlite = dynamic_cast<const soci::sqlite3_soci_error*>(&error)) {
    return judge_sqlite(*sqlite);
  }
  if (const auto* other =
          dynamic_cast<const soci::postgresql_soci_error*>(&error)) {
    return judge_postgresql(*other);
  }
  return dynamic_cast<const soci::soci_error*>(&error) != nullptr
             ? Failure::kConnection
             : Failure::kOther;
}

// SOCI adds the statement and its values, which are nobody's to read in a log.
std::string message_of(const std::exception& error) {
  const std::string_view what = error.what();
  return log::printable(what.substr(0, what.find(" while ")));
}

void rest(int attempt) {
  std::this_thread::sleep_for(std::chrono::milliseconds(attempt < 5 ? 2 : 20));
}

// Begun on construction, undone unless it was committed.
class Scope {
 public:
  Scope(soci::session& session, Dialect dialect, Database::Work work)
      : session_(session) {
    const bool sqlite = dialect == Dialect::kSqlite;
    const bool writes = work != Database::Work::kRead;
    session_.once << (sqlite ? (writes ? "BEGIN IMMEDIATE" : "BEGIN")
                      : writes ? "BEGIN"
                      : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    open_ = true;
    if (!sqlite && writes) take_turn(work == Database::Work::kUpgrade);
  }
  ~Scope() {
    if (!open_) return;
    try {
      session_.once << "ROLLBACK";
    } catch (const std::exception&) {
      // A lost connection has rolled back already.
    }
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  void commit() {
    session_.once << "COMMIT";
    open_ = false;
  }

 private:
  void take_turn(bool upgrades) {
    try {
      for (const std::string_view setting : kUpgradeSettings) {
        if (upgrades) session_.once << "SET LOCAL " + std::string(setting);
      }
      session_.once << std::string(kWritersTurn);
    } catch (const std::exception&) {
      open_ = false;
      try {
        session_.once << "ROLLBACK";
      } catch (const std::exception&) {
      }
      throw;
    }
  }

  soci::session& session_;
  bool open_ = false;
};

}  // namespace

Database::Database(Dialect dialect, std::size_t connections)
    : dialect_(dialect),
      pool_(std::make_unique<soci::connection_pool>(connections)) {}

Database::~Database() = default;

void Database::set_up(soci::session& session) const {
  if (dialect_ == Dialect::kPostgresql) {
    for (const std::string_view setting : kPostgresqlSettings) {
      session.once << "SET " + std::string(setting);
    }
    return;
  }
  session.once << "PRAGMA busy_timeout = 10000";
  session.once << "PRAGMA foreign_keys = ON";
  // What is deleted is not to be found in the file.
  session.once << "PRAGMA secure_delete = ON";
  // What was acknowledged outlives the machine's end, too.
  session.once << "PRAGMA synchronous = FULL";
  std::string mode;
  session.once << "PRAGMA journal_mode = WAL", soci::into(mode);
}

void Database::connect(const std::string& address, std::size_t connections) {
  for (std::size_t i = 0; i < connections; ++i) {
    soci::session& session = pool_->at(i);
    if (dialect_ == Dialect::kPostgresql) {
      session.open(soci::postgresql, address);
    } else {
      session.open(soci::sqlite3, address);
    }
    set_up(session);
  }
}

Result<std::unique_ptr<Database>> Database::open(const std::string& url,
                                                 std::size_t connections) {
  const bool sqlite = url.starts_with(kSqlitePrefix);
  if (!sqlite && !url.starts_with(kPostgresqlPrefix)) {
    return Error{"database: sqlite:///FILE or postgresql://... is expected"};
  }
  const Result<std::string> address =
      sqlite ? url.substr(kSqlitePrefix.size()) : connection_words(url);
  if (!address) return address.error();
  try {
    std::unique_ptr<Database> database(new Database(
        sqlite ? Dialect::kSqlite : Dialect::kPostgresql, connections));
    database->connect(*address, connections);
    Status migrated = migrate(*database);
    if (!migrated) return migrated.error();
    return database;
  } catch (const std::exception& error) {
    return Error{"the database cannot be opened: " + message_of(error)};
  }
}

Answer Database::read(const Body& body) { return attempt(body, Work::kRead); }

Answer Database::write(const Body& body) {
  return write(body, Work::kWrite);
}

Answer Database::upgrade(const Body& body) {
  return write(body, Work::kUpgrade);
}

Answer Database::write(const Body& body, Work work) {
  std::unique_lock<std::timed_mutex> turn(writer_, std::defer_lock);
  // By the wall clock, which may jump: GCC 12's ThreadSanitizer does not know of
  // waiting by the other.
  if (dialect_ == Dialect::kSqlite &&
      !turn.try_lock_until(std::chrono::system_clock::now() +
                           std::chrono::milliseconds(kPatienceMs))) {
    return unavailable("the store has much to write; try again");
  }
  return attempt(body, work);
}

Answer Database::transact(soci::session& session, const Body& body,
                          Work work, bool& begun) {
  Scope scope(session, dialect_, work);
  begun = true;
  Transaction transaction(session, dialect_);
  // Another process may have brought it further since this one began.
  if (work == Work::kWrite && is_of_a_later_version(transaction)) {
    return unavailable("the store is of a later version than this process");
  }
  Answer answer = body(transaction);
  if (!answer.refuses()) scope.commit();
  return answer;
}

Answer Database::attempt(const Body& body, Work work) {
  const std::int64_t patient_until_ms = coarse_monotonic_ms() + kPatienceMs;
  soci::session session(*pool_);
  bool reconnected = false;
  for (int i = 1;; ++i) {
    bool begun = false;
    try {
      return transact(session, body, work, begun);
    } catch (const std::exception& error) {
      const Failure failure = judge(error);
      if (failure == Failure::kConstraint) {
        return conflict("it is there already, or something depends on it");
      }
      const bool again = failure == Failure::kAgain && i < kAttempts &&
                         coarse_monotonic_ms() < patient_until_ms;
      if (!again) log::error("the database: {}", message_of(error));
      if (failure == Failure::kConnection) {
        const bool connected = reconnect(session);
        // What had begun may have been committed.
        const bool harmless = work == Work::kRead || !begun;
        if (connected && harmless && !std::exchange(reconnected, true)) continue;
      }
      if (!again) return unavailable("the store cannot be used just now");
    }
    rest(i);
  }
}

// A session that the server ended comes back with its settings.
bool Database::reconnect(soci::session& session) {
  try {
    session.reconnect();
    set_up(session);
    return true;
  } catch (const std::exception&) {
    return false;                      // the next one tries again
  }
}

}  // namespace fealty::api
