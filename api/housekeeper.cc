#include "api/housekeeper.h"

#include <chrono>
#include <string>

#include "api/events.h"
#include "api/idempotency.h"
#include "api/metrics.h"

namespace fealty::api {
namespace {

constexpr std::chrono::hours kEvery{1};
constexpr std::string_view kRowsAtOnce = "500";

}  // namespace

Housekeeper::Housekeeper(Database& database, const CurrentOptions& options,
                         const Clock& clock)
    : database_(database), options_(options), clock_(clock) {
  thread_ = std::thread([this] { run(); });
}

Housekeeper::~Housekeeper() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ended_.notify_all();
  thread_.join();
}

void Housekeeper::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    tidy();
    lock.lock();
    ended_.wait_for(lock, kEvery, [this] { return ending_; });
  }
}

void Housekeeper::tidy() {
  const auto audit_days =
      static_cast<std::int64_t>(options_.get()->limits.audit_days);
  remove_older("answered", "(caller, token)",
               clock_.unix_s() - kAnsweredDays * kDaySeconds);
  remove_older("events", "id", clock_.unix_s() - kEventDays * kDaySeconds);
  remove_older("audit", "id", clock_.unix_s() - audit_days * kDaySeconds);
}

void Housekeeper::remove_older(std::string_view table, std::string_view key,
                               std::int64_t unix) {
  const std::string name(table);
  std::string columns(key);
  if (columns.front() == '(') columns = columns.substr(1, columns.size() - 2);
  const std::string old = "FROM " + name + " WHERE unix <= ?";
  bool left = true;
  while (left && !is_ending()) {
    const Answer answer = database_.write([&](Transaction& transaction) {
      transaction.run("DELETE FROM " + name + " WHERE " + std::string(key) +
                          " IN (SELECT " + columns + " " + old +
                          " ORDER BY unix LIMIT " + std::string(kRowsAtOnce) + ")",
                      {unix});
      left = transaction.exists(old, {unix});
      return ok_message();
    });
    if (answer.refuses()) return;      // the database's own log says why
  }
}

bool Housekeeper::is_ending() {
  const std::lock_guard lock(mutex_);
  return ending_;
}

}  // namespace fealty::api
