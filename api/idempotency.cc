#include "api/idempotency.h"

#include "api/metrics.h"

namespace fealty::api {
namespace {

constexpr std::size_t kTokenBytesMax = 255;

bool counts(const Call& call) {
  return call.request.method == "POST" && !call.request.idempotency_key.empty();
}

// Whose key it is, by what is never another's.
std::string owner_of(const Caller& caller) {
  switch (caller.kind) {
    case Caller::Kind::kCustomer: return caller.uuid;
    case Caller::Kind::kContainer:
      return "container " + std::to_string(caller.id);
    case Caller::Kind::kServer: return "server " + std::to_string(caller.id);
    case Caller::Kind::kAdmin: return "admin";
    case Caller::Kind::kNobody: break;
  }
  return "";
}

// What must be the same for the answer to be the same. Kept as a keyed hash: it
// may hold secrets that could be guessed by a plain one.
std::string fingerprint(const Call& call) {
  std::string text = call.request.path + "\n";
  const bool by_key = call.caller.kind == Caller::Kind::kContainer;
  for (const auto& [key, value] : call.request.query) {
    // Another one since then lets the same in.
    if (by_key && key == "key") continue;
    text += Json(key).dump() + "=" + Json(value).dump() + "\n";
  }
  return call.tools.sealer.mark(text + call.request.body, "answered.request");
}

// Answers may hold keys and tokens.
std::string purpose(const Call& call) {
  return purpose_of("answered", "body", owner_of(call.caller)) + "/" +
         call.request.idempotency_key;
}

}  // namespace

std::optional<Answer> earlier_answer(const Call& call,
                                     Transaction& transaction) {
  if (!counts(call)) return std::nullopt;
  const std::string& token = call.request.idempotency_key;
  if (token.size() > kTokenBytesMax || !is_text(token)) {
    return bad_request("Idempotency-Key: 255 bytes of text at most");
  }
  const auto row = transaction.one(
      "request, status, body",
      "FROM answered WHERE caller = ? AND token = ? AND unix > ?",
      {owner_of(call.caller), token, call.now() - kAnsweredDays * kDaySeconds});
  if (!row) return std::nullopt;
  if (row->text("request") != fingerprint(call)) {
    return conflict("this Idempotency-Key was another request's");
  }
  Answer answer;
  answer.status = static_cast<int>(row->integer("status"));
  const auto body = call.tools.sealer.open(row->text("body"), purpose(call));
  if (!body) return unavailable(body.error().message);
  answer.body = Json::parse(*body);
  answer.headers["Idempotency-Replayed"] = "true";
  return answer;
}

void remember_answer(const Call& call, Transaction& transaction,
                     const Answer& answer) {
  if (!counts(call) || answer.headers.contains("Idempotency-Replayed")) return;
  const std::string owner = owner_of(call.caller);
  transaction.run("DELETE FROM answered WHERE caller = ? AND token = ?",
                  {owner, call.request.idempotency_key});
  transaction.run(
      "INSERT INTO answered (caller, token, request, status, body, unix) "
      "VALUES (?, ?, ?, ?, ?, ?)",
      {owner, call.request.idempotency_key, fingerprint(call),
       std::int64_t{answer.status},
       call.tools.sealer.seal(answer.body.dump(), purpose(call)), call.now()});
}

}  // namespace fealty::api
