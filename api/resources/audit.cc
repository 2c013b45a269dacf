#include "api/resources/audit.h"

#include <algorithm>
#include <array>

#include "api/events.h"

namespace fealty::api {
namespace {

constexpr std::array<std::string_view, 9> kSecrets = {
    "password",       "jid_secret",    "pushover_token", "pushbullet_token",
    "slack_webhook",  "alarm_key",     "secret_uuid",    "key",
    "rsa_private"};
constexpr std::size_t kTextBytesMax = 1'024;

Json kept(std::string_view key, const Json& value) {
  if (std::find(kSecrets.begin(), kSecrets.end(), key) != kSecrets.end()) {
    return "***";
  }
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.size() <= kTextBytesMax) return value;
  text.resize(kTextBytesMax);
  return text + "…";
}

Json kept_of(const Json& object, const Json& other) {
  if (!object.is_object()) return object;
  Json out = Json::object();
  for (const auto& [key, value] : object.items()) {
    const auto same = other.find(key);
    if (other.is_object() && same != other.end() && *same == value) continue;
    out[key] = kept(key, value);
  }
  return out;
}

Value stored_text(const Json& value) {
  if (value.is_null()) return nullptr;
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::pair<Json, Json> audited(const Json& before, const Json& after) {
  return {kept_of(before, after), kept_of(after, before)};
}

void audit(const Call& call, Transaction& transaction, std::string_view object,
           std::int64_t id, const Json& before, const Json& after) {
  const auto [from, to] = audited(before, after);
  const bool changes_nothing =
      from.is_object() && to.is_object() && from.empty() && to.empty();
  if (changes_nothing) return;
  transaction.run(
      "INSERT INTO audit (unix, actor, address, request, object, object_id, "
      "before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      {call.now(), call.caller.name, call.request.address,
       call.request.method + " " + call.request.path, std::string(object), id,
       stored_text(from), stored_text(to)});
  note_event(call, transaction, object, id, after.is_null() ? before : after,
             before.is_null()  ? "created"
             : after.is_null() ? "deleted"
                               : "changed");
  if (!before.is_null() && !after.is_null()) {
    note_departure(call, transaction, object, id, from, after);
  }
}

void audit_secret(const Call& call, Transaction& transaction,
                  std::string_view object, std::int64_t id,
                  std::string_view key) {
  const std::string name(key);
  audit(call, transaction, object, id, {{name, "old"}}, {{name, "new"}});
}

}  // namespace fealty::api
