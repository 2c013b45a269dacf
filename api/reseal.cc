#include "api/reseal.h"

#include <span>

namespace fealty::api {
namespace {

constexpr std::string_view kKeyPurpose = "settings.key_check";
constexpr std::string_view kKeyProof = "fealty";

struct Column {
  std::string_view table;
  std::string_view name;
};
// What was sealed for its column alone, and what lay in clear, until the setting
// of that name is there.
struct Round {
  std::string_view setting;
  bool was_clear;
  std::span<const Column> columns;
};
constexpr Column kSealed[] = {
    {"customers", "rsa_private"},     {"containers", "jid_secret"},
    {"containers", "pushover_token"}, {"containers", "pushbullet_token"},
    {"containers", "slack_webhook"},  {"legions", "secret"}};
constexpr Column kClear[] = {{"containers", "alarm_key"},
                             {"containers", "secret_uuid"}};
constexpr Round kRounds[] = {{"sealed_for_rows", false, kSealed},
                             {"sealed_alarm_keys", true, kClear}};

bool is_set(Transaction& transaction, std::string_view name) {
  return transaction.exists("FROM settings WHERE name = ?", {std::string(name)});
}
void set(Transaction& transaction, std::string_view name, std::string value) {
  transaction.run("INSERT INTO settings (name, value) VALUES (?, ?)",
                  {std::string(name), std::move(value)});
}

bool proves(Transaction& transaction, const Sealer& sealer) {
  const auto row =
      transaction.one("value", "FROM settings WHERE name = 'key_check'");
  if (row) return sealer.open(row->text("value"), kKeyPurpose).has_value();
  set(transaction, "key_check", sealer.seal(kKeyProof, kKeyPurpose));
  return true;
}

bool seal_for_rows(Transaction& transaction, const Sealer& sealer,
                   const Column& column, bool was_clear) {
  const std::string table(column.table);
  const std::string name(column.name);
  for (const Row& row : transaction.select(
           "id, uuid, " + name, "FROM " + table + " WHERE " + name + " <> ''")) {
    const auto secret = was_clear ? Result<std::string>(row.text(name))
                                  : sealer.open(row.text(name), table + "." + name);
    if (!secret) return false;
    transaction.update(
        table, row.integer("id"),
        {{name, sealer.seal(*secret, purpose_of(table, name, row.text("uuid")))}});
  }
  return true;
}

}  // namespace

Result<Ok, SealProblem> check_seals(Database& database, const Sealer& sealer) {
  SealProblem problem{"the database cannot be used"};
  const Answer answer = database.write([&](Transaction& transaction) {
    if (!proves(transaction, sealer)) {
      problem = {"is not the key that this database was written with", true};
      return conflict("");
    }
    for (const Round& round : kRounds) {
      if (is_set(transaction, round.setting)) continue;
      for (const Column& column : round.columns) {
        if (!seal_for_rows(transaction, sealer, column, round.was_clear)) {
          problem = {"does not open what the database holds"};
          return conflict("");
        }
      }
      set(transaction, round.setting, "1");
    }
    return ok_message();
  });
  if (answer.refuses()) return problem;
  return Ok{};
}

}  // namespace fealty::api
