#include "api/service.h"

#include <sodium.h>

#include <array>
#include <exception>

#include "api/credentials.h"
#include "api/idempotency.h"
#include "api/openapi.h"
#include "api/resources/resources.h"
#include "base/log.h"

namespace fealty::api {
namespace {

constexpr std::string_view kBase = "/api";
// A wrong password: so many at once, then one each so often.
constexpr std::int64_t kUserBurst = 10;
constexpr std::int64_t kUserRefill_ms = 6'000;
constexpr std::int64_t kAddressBurst = 30;
constexpr std::int64_t kAddressRefill_ms = 2'000;

// What is below /api; on the admin listener the prefix may be left out.
std::optional<std::string_view> below_base(const Request& request) {
  std::string_view path = request.path;
  if (path == kBase || path.starts_with("/api/")) {
    path.remove_prefix(kBase.size());
    return path.empty() ? "/" : path;
  }
  if (request.entrance == Entrance::kAdmin) return path;
  return std::nullopt;
}

std::string etag_of(const std::string& text) {
  std::array<unsigned char, 16> hash{};
  crypto_generichash(hash.data(), hash.size(),
                     reinterpret_cast<const unsigned char*>(text.data()),
                     text.size(), nullptr, 0);
  std::array<char, 33> hex{};
  sodium_bin2hex(hex.data(), hex.size(), hash.data(), hash.size());
  return "\"" + std::string(hex.data()) + "\"";
}

bool is_well_formed(const Request& request) {
  if (!is_text(request.path)) return false;
  for (const auto& [key, value] : request.query) {
    if (!is_text(key) || !is_text(value)) return false;
  }
  return true;
}

}  // namespace

Service::Service(Database& database, const Tools& tools)
    : database_(database),
      tools_(tools),
      routes_(all_routes()),
      failures_by_user_(kUserBurst, kUserRefill_ms),
      failures_by_address_(kAddressBurst, kAddressRefill_ms) {}

Answer Service::answer(const Request& request) {
  Answer answer;
  try {
    answer = dispatch(request);
    finish(request, answer);
  } catch (const std::exception& error) {
    log::error("{} {}: {}", request.method, log::printable(request.path),
               log::printable(error.what()));
    answer = refusal(500, "Internal server error");
    answer.text = json_line(answer.body);
  }
  return answer;
}

Answer Service::dispatch(const Request& request) {
  if (!is_well_formed(request)) return bad_request("the path is no text");
  const auto path = below_base(request);
  if (!path) return not_found();
  if (request.entrance == Entrance::kPublic &&
      (*path == "/" || *path == "/openapi.json")) {
    if (request.method != "GET") return method_not_allowed();
    return *path == "/" ? documentation_page(routes_) : openapi_document(routes_);
  }
  const bool is_head = request.method == "HEAD";
  const Match match = find_route(routes_, is_head ? "GET" : request.method,
                                 *path, request.entrance);
  if (!match.path_known) return not_found();
  if (request.method == "OPTIONS") {
    Answer answer{204};
    answer.headers["Allow"] = match.allowed + ", OPTIONS";
    answer.headers["Access-Control-Allow-Methods"] = match.allowed;
    answer.headers["Access-Control-Allow-Headers"] =
        "Authorization, Content-Type, Idempotency-Key, If-None-Match, "
        "X-uwsgi-it-username, X-uwsgi-it-password";
    answer.headers["Access-Control-Max-Age"] = "86400";
    return answer;
  }
  if (match.route == nullptr) {
    Answer answer = method_not_allowed();
    answer.headers["Allow"] = match.allowed + ", OPTIONS";
    return answer;
  }
  Call call{request, tools_, *match.route, {}, match.parts};
  return serve(*match.route, call);
}

Answer Service::serve(const Route& route, Call& call) {
  if (auto refused = identify(route, call)) return *std::move(refused);
  if (call.request.body_too_large) return too_large();
  if (auto refused = read_body(route, call)) return *std::move(refused);
  if (route.prepare != nullptr) {
    if (auto refused = route.prepare(call)) return *std::move(refused);
  }
  return transact(route, call);
}

std::optional<Answer> Service::identify(const Route& route, Call& call) {
  switch (route.access) {
    case Access::kAnyone:
    case Access::kAlarmKey:
      if (call.request.authorization.empty() &&
          call.request.hex_username.empty()) {
        if (route.access == Access::kAlarmKey && !call.request.asked("key")) {
          return unauthorized();
        }
        return std::nullopt;
      }
      return log_in(call);
    case Access::kCustomer: return log_in(call);
    case Access::kServer: return find_server(call);
    case Access::kPrivileged: return find_privileged(call);
    case Access::kAdmin:
      if (call.request.passed_on) return forbidden();
      call.caller.kind = Caller::Kind::kAdmin;
      call.caller.name = "admin";
      return std::nullopt;
  }
  return unauthorized();
}

std::optional<Answer> Service::log_in(Call& call) {
  const auto credentials =
      read_credentials(call.request.authorization, call.request.hex_username,
                       call.request.hex_password);
  if (!credentials) return unauthorized();
  std::optional<Row> row;
  const Answer looked = database_.read([&](Transaction& transaction) {
    row = transaction.one("id, uuid, username, password",
                          "FROM customers WHERE username = ?",
                          {credentials->username});
    return ok_message();
  });
  if (looked.refuses()) return looked;
  const std::string stored = row ? row->text("password") : "";
  if (auto refused = check_password(call, credentials->username,
                                    credentials->password, stored)) {
    return refused;
  }
  call.caller = {Caller::Kind::kCustomer, row->integer("id"), row->text("uuid"),
                 row->text("username")};
  return std::nullopt;
}

std::optional<Answer> Service::check_password(const Call& call,
                                              const std::string& username,
                                              const std::string& password,
                                              const std::string& stored) {
  Passwords& passwords = tools_.passwords;
  if (!stored.empty() && passwords.remembers(username, password, stored)) {
    return std::nullopt;
  }
  const std::int64_t now_ms = tools_.clock.monotonic_ms();
  if (!failures_by_user_.allows(username, now_ms) ||
      !failures_by_address_.allows(call.request.address, now_ms)) {
    return too_many(static_cast<int>(kUserRefill_ms / 1000));
  }
  if (passwords.verify(username, password, stored)) return std::nullopt;
  failures_by_user_.charge(username, now_ms);
  failures_by_address_.charge(call.request.address, now_ms);
  return unauthorized();
}

std::optional<Answer> Service::find_server(Call& call) {
  if (call.request.subject.empty()) return forbidden();
  std::optional<Row> row;
  const Answer looked = database_.read([&](Transaction& transaction) {
    row = transaction.one("id, name, subject", "FROM servers WHERE address = ?",
                          {call.request.address});
    return ok_message();
  });
  if (looked.refuses()) return looked;
  if (!row) return forbidden();
  // Where the administrator has said which certificate is this server's.
  const std::string& subject = row->text("subject");
  if (!subject.empty() &&
      !equals_in_constant_time(subject, call.request.subject)) {
    return forbidden();
  }
  call.caller = {Caller::Kind::kServer, row->integer("id"), "",
                 row->text("name")};
  return std::nullopt;
}

std::optional<Answer> Service::find_privileged(const Call& call) {
  const Answer looked = database_.read([&](Transaction& transaction) {
    const bool listed =
        transaction.exists("FROM privileged_clients WHERE address = ?",
                           {call.request.address});
    return listed ? ok_message() : forbidden();
  });
  if (looked.refuses()) return looked;
  return std::nullopt;
}

std::optional<Answer> Service::read_body(const Route& route, Call& call) const {
  if (route.schema == nullptr) return std::nullopt;
  auto parsed = parse_json(call.request.body);
  if (!parsed) return bad_request(parsed.error().message);
  call.body = *std::move(parsed);
  const Status valid = validate(*route.schema, call.body);
  if (!valid) return bad_request(valid.error().message);
  const std::string_view missing = missing_key(*route.schema, call.body);
  if (missing.empty()) return std::nullopt;
  std::string reason = std::string(missing) + ": this key is missing";
  return route.missing_key_status == 403 ? forbidden(std::move(reason))
                                         : bad_request(std::move(reason));
}

Answer Service::transact(const Route& route, Call& call) {
  if (route.mode == Mode::kRead) {
    return database_.read([&](Transaction& transaction) {
      return route.handler(call, transaction);
    });
  }
  return database_.write([&](Transaction& transaction) {
    if (auto before = earlier_answer(call, transaction)) {
      return *std::move(before);
    }
    Answer answer = route.handler(call, transaction);
    if (!answer.refuses()) remember_answer(call, transaction, answer);
    return answer;
  });
}

void Service::finish(const Request& request, Answer& answer) const {
  if (!answer.body.is_null()) answer.text = json_line(answer.body);
  const std::string& origin = tools_.options.allow_origin;
  if (!origin.empty() && request.entrance == Entrance::kPublic) {
    answer.headers["Access-Control-Allow-Origin"] = origin;
  }
  if (answer.status != 200 ||
      (request.method != "GET" && request.method != "HEAD")) {
    return;
  }
  const std::string etag = etag_of(answer.text);
  answer.headers["ETag"] = etag;
  answer.headers.try_emplace("Cache-Control", "private, no-cache");
  if (request.if_none_match.find(etag) != std::string::npos) {
    answer.status = 304;
    answer.text.clear();
  }
}

}  // namespace fealty::api
