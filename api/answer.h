#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "api/events.h"
#include "api/json.h"

namespace fealty::api {

// What a request gets. A body that is not null is JSON, else `text` of `type`.
struct Answer {
  int status = 200;
  Json body = nullptr;
  std::string text = {};
  std::string type = "application/json";
  std::map<std::string, std::string> headers = {};
  // `text` is its beginning; what happens from then on follows.
  std::optional<Follow> follow = {};

  [[nodiscard]] bool refuses() const { return status >= 400; }
};

[[nodiscard]] inline Answer ok(Json body) { return {200, std::move(body)}; }
// A list that was written as text.
[[nodiscard]] inline Answer ok_list(ListWriter& list) {
  Answer answer;
  answer.text = list.take();
  return answer;
}
[[nodiscard]] inline Answer ok_message() { return ok({{"message", "Ok"}}); }
[[nodiscard]] inline Answer created(Json body) { return {201, std::move(body)}; }

[[nodiscard]] inline Answer refusal(int status, const char* error,
                                    std::string reason = {}) {
  Json body = {{"error", error}};
  if (!reason.empty()) body["reason"] = std::move(reason);
  return {status, std::move(body)};
}
[[nodiscard]] inline Answer bad_request(std::string reason) {
  return refusal(400, "Bad request", std::move(reason));
}
[[nodiscard]] inline Answer unauthorized() {
  Answer answer = refusal(401, "Unauthorized");
  answer.headers["WWW-Authenticate"] = "Basic realm=\"uwsgi.it api\"";
  return answer;
}
[[nodiscard]] inline Answer forbidden(std::string reason = {}) {
  return refusal(403, "Forbidden", std::move(reason));
}
[[nodiscard]] inline Answer not_found() { return refusal(404, "Not found"); }
[[nodiscard]] inline Answer method_not_allowed() {
  return refusal(405, "Method not allowed");
}
[[nodiscard]] inline Answer conflict(std::string reason) {
  return refusal(409, "Conflict", std::move(reason));
}
[[nodiscard]] inline Answer too_large() {
  return refusal(413, "Request entity too large");
}
[[nodiscard]] inline Answer too_many(int retry_after_s) {
  Answer answer = refusal(429, "Too many requests");
  answer.headers["Retry-After"] = std::to_string(retry_after_s);
  return answer;
}
[[nodiscard]] inline Answer unavailable(std::string reason) {
  Answer answer = refusal(503, "Service unavailable", std::move(reason));
  answer.headers["Retry-After"] = "1";
  return answer;
}
[[nodiscard]] inline Answer busy() {
  return unavailable("too many ask at once; try again");
}

}  // namespace fealty::api
