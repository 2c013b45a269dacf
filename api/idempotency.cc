#include "api/idempotency.h"

#include <sodium.h>

#include <array>

namespace fealty::api {
namespace {

constexpr std::size_t kTokenBytesMax = 255;

bool counts(const Call& call) {
  return call.request.method == "POST" &&
         !call.request.idempotency_key.empty() &&
         call.caller.kind == Caller::Kind::kCustomer;
}

// What must be the same for the answer to be the same. The body is hashed: it
// may hold secrets.
std::string fingerprint(const Call& call) {
  const std::string text = call.request.path + "\n" + call.request.body;
  std::array<unsigned char, 32> hash{};
  crypto_generichash(hash.data(), hash.size(),
                     reinterpret_cast<const unsigned char*>(text.data()),
                     text.size(), nullptr, 0);
  std::array<char, 65> hex{};
  sodium_bin2hex(hex.data(), hex.size(), hash.data(), hash.size());
  return hex.data();
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
      "FROM answered WHERE customer_id = ? AND token = ? AND unix > ?",
      {call.caller.id, token, call.now() - kAnsweredDays * 86'400});
  if (!row) return std::nullopt;
  if (row->text("request") != fingerprint(call)) {
    return conflict("this Idempotency-Key was another request's");
  }
  Answer answer;
  answer.status = static_cast<int>(row->integer("status"));
  answer.body = Json::parse(row->text("body"));
  answer.headers["Idempotency-Replayed"] = "true";
  return answer;
}

void remember_answer(const Call& call, Transaction& transaction,
                     const Answer& answer) {
  if (!counts(call) || answer.headers.contains("Idempotency-Replayed")) return;
  transaction.run("DELETE FROM answered WHERE customer_id = ? AND unix <= ?",
                  {call.caller.id, call.now() - kAnsweredDays * 86'400});
  transaction.run(
      "INSERT INTO answered (customer_id, token, request, status, body, unix) "
      "VALUES (?, ?, ?, ?, ?, ?)",
      {call.caller.id, call.request.idempotency_key, fingerprint(call),
       std::int64_t{answer.status}, answer.body.dump(), call.now()});
}

}  // namespace fealty::api
