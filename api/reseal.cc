#include "api/reseal.h"

#include <array>

namespace fealty::api {
namespace {

constexpr std::string_view kKeyPurpose = "settings.key_check";
constexpr std::string_view kKeyProof = "fealty";

struct Sealed {
  std::string_view table;
  std::string_view column;
};
constexpr std::array<Sealed, 6> kSealed = {{{"customers", "rsa_private"},
                                            {"containers", "jid_secret"},
                                            {"containers", "pushover_token"},
                                            {"containers", "pushbullet_token"},
                                            {"containers", "slack_webhook"},
                                            {"legions", "secret"}}};

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
                   const Sealed& sealed) {
  const std::string table(sealed.table);
  const std::string column(sealed.column);
  const std::string before = table + "." + column;
  for (const Row& row : transaction.select(
           "id, uuid, " + column,
           "FROM " + table + " WHERE " + column + " <> ''")) {
    const auto secret = sealer.open(row.text(column), before);
    if (!secret) return false;
    transaction.update(
        table, row.integer("id"),
        {{column, sealer.seal(*secret, purpose_of(table, column,
                                                  row.text("uuid")))}});
  }
  return true;
}

}  // namespace

Status check_seals(Database& database, const Sealer& sealer) {
  std::string problem = "the database cannot be used";
  const Answer answer = database.write([&](Transaction& transaction) {
    const auto refuse = [&](const char* why) {
      problem = why;
      return conflict("");
    };
    if (!proves(transaction, sealer)) {
      return refuse("is not the key that this database was written with");
    }
    if (is_set(transaction, "sealed_for_rows")) return ok_message();
    for (const Sealed& sealed : kSealed) {
      if (!seal_for_rows(transaction, sealer, sealed)) {
        return refuse("does not open what the database holds");
      }
    }
    set(transaction, "sealed_for_rows", "1");
    return ok_message();
  });
  if (answer.refuses()) return Error{problem};
  return Ok{};
}

}  // namespace fealty::api
