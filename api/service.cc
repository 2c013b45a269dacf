#include "api/service.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>

#include "api/credentials.h"
#include "api/http_request.h"
#include "api/idempotency.h"
#include "api/openapi.h"
#include "api/resources/resources.h"
#include "base/log.h"

namespace fealty::api {
namespace {

constexpr std::string_view kBase = "/api";
// A wrong password: so many at once, then one each so often. Of a user from one
// network, so that nobody elsewhere shuts him out, and from all of them.
constexpr std::int64_t kUserBurst = 10;
constexpr std::int64_t kUserRefill_ms = 6'000;
constexpr std::int64_t kUserWholeBurst = 50;
constexpr std::int64_t kUserWholeRefill_ms = 1'200;
constexpr std::int64_t kNetworkBurst = 30;
constexpr std::int64_t kNetworkRefill_ms = 2'000;

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

// Whoever makes answers that collide has made both, and is the one who reads them.
std::string etag_of(const std::string& text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  std::array<char, 36> out{};
  std::snprintf(out.data(), out.size(), "\"%016llx%016llx\"",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return out.data();
}

// Of an If-None-Match (RFC 9110, 13.1.2).
bool names(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    std::string_view each = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    while (each.starts_with(' ') || each.starts_with('\t')) each.remove_prefix(1);
    while (each.ends_with(' ') || each.ends_with('\t')) each.remove_suffix(1);
    if (each.starts_with("W/")) each.remove_prefix(2);
    if (each == etag || each == "*") return true;
  }
  return false;
}

Answer preflight(const std::string& allowed) {
  Answer answer{204};
  answer.headers["Allow"] = allowed + ", OPTIONS";
  answer.headers["Access-Control-Allow-Methods"] = allowed;
  answer.headers["Access-Control-Allow-Headers"] =
      "Authorization, Content-Type, Idempotency-Key, If-None-Match, "
      "Last-Event-ID, X-uwsgi-it-username, X-uwsgi-it-password";
  answer.headers["Access-Control-Max-Age"] = "86400";
  return answer;
}

// A page of another site's, where a login or certificate is sent along that the
// browser keeps. (Pages that may, and those that log in by themselves, ask first:
// preflight().)
bool is_forged(const Request& request, const Route& route,
               const Options& options) {
  const bool is_kept = !request.authorization.empty() ||
                       route.access == Access::kServer ||
                       route.access == Access::kPrivileged;
  return request.foreign_form && is_kept && route.mode == Mode::kWrite &&
         (request.origin.empty() || request.origin != options.allow_origin);
}

Answer wrong_method(const std::string& allowed) {
  Answer answer = method_not_allowed();
  answer.headers["Allow"] = allowed + ", OPTIONS";
  return answer;
}

// HEAD is GET without its body.
std::string_view method_of(const Request& request) {
  return request.method == "HEAD" ? "GET" : std::string_view(request.method);
}

bool is_query_text(const Request& request) {
  return std::all_of(request.query.begin(), request.query.end(),
                     [](const auto& asked) {
                       return is_text(asked.first) && is_text(asked.second);
                     });
}

// Whether the container is there and this is its key, told without haste.
bool has_alarm_key(const Call& call, Transaction& transaction, std::int64_t id) {
  const auto row =
      transaction.one("uuid, alarm_key", "FROM containers WHERE id = ?", {id});
  if (!row) return false;
  const auto key = call.tools.sealer.open(
      row->text("alarm_key"),
      purpose_of("containers", "alarm_key", row->text("uuid")));
  return key && equals_in_constant_time(*call.request.asked("key"), *key);
}

// Who asked was found out in a transaction of its own: who has gone since then, or
// has another password or certificate, has nothing to say here.
std::optional<Answer> caller_left(const Call& call, Transaction& transaction) {
  const Caller& caller = call.caller;
  bool there = true;
  switch (caller.kind) {
    case Caller::Kind::kNobody:
    case Caller::Kind::kAdmin: break;
    case Caller::Kind::kCustomer:
      if (!transaction.exists("FROM customers WHERE id = ? AND password = ?",
                              {caller.id, caller.password_hash})) {
        return unauthorized();
      }
      break;
    case Caller::Kind::kContainer:
      there = has_alarm_key(call, transaction, caller.id);
      break;
    case Caller::Kind::kServer:
      there = transaction.exists(
          "FROM servers WHERE id = ? AND address = ? AND subject = ?",
          {caller.id, call.request.address, caller.subject});
      break;
  }
  return there ? std::nullopt : std::optional(forbidden());
}

}  // namespace

Service::Service(Database& database, const Tools& tools)
    : database_(database),
      tools_(tools),
      routes_(all_routes()),
      pages_{{"/", documentation_page(routes_)},
             {"/openapi.json", openapi_document(routes_)}},
      failures_by_user_here_(kUserBurst, kUserRefill_ms),
      failures_by_user_(kUserWholeBurst, kUserWholeRefill_ms),
      failures_by_network_(kNetworkBurst, kNetworkRefill_ms) {}

std::optional<Answer> Service::admit(Request& request) {
  return go(request, &Service::identify);
}

Answer Service::answer(Request& request) {
  return *go(request, &Service::serve);
}

std::vector<Event> Service::events_after(std::int64_t id) {
  std::vector<Event> events;
  static_cast<void>(database_.read([&](Transaction& transaction) {
    events = api::events_after(transaction, id);
    return ok_message();
  }));
  return events;
}

std::optional<Answer> Service::go(Request& request, Step step) {
  std::optional<Answer> answer;
  try {
    answer = dispatch(request, step);
    if (answer) finish(request, *answer);
  } catch (const std::exception& error) {
    log::error("{} {}: {}", log::printable(request.method),
               log::printable(request.path), log::printable(error.what()));
    answer = refusal(500, "Internal server error");
    answer->text = json_line(answer->body);
  }
  return answer;
}

std::optional<Answer> Service::dispatch(Request& request, Step step) {
  if (!is_text(request.path)) return bad_request("the path is no UTF-8");
  if (!is_query_text(request)) return bad_request("the query is no UTF-8");
  const auto path = below_base(request);
  if (!path) return not_found();
  if (auto page = find_page(request, *path)) return page;
  const Match match = find_route(routes_, method_of(request), *path,
                                 request.entrance);
  if (!match.path_known) return not_found();
  if (request.method == "OPTIONS") return preflight(match.allowed);
  if (match.route == nullptr) return wrong_method(match.allowed);
  const CurrentOptions::Snapshot options = tools_.options.get();
  if (is_forged(request, *match.route, *options)) {
    return forbidden("this is a page of another site's");
  }
  Call call{request, tools_, *options, *match.route, {}, match.parts};
  auto answer = (this->*step)(call);
  if (!answer) request.caller = call.caller;
  return answer;
}

std::optional<Answer> Service::find_page(const Request& request,
                                         std::string_view path) const {
  if (request.entrance != Entrance::kPublic) return std::nullopt;
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto page = std::find_if(pages_.begin(), pages_.end(),
                                 [&](const Page& one) { return one.path == path; });
  if (page == pages_.end()) return std::nullopt;
  if (request.method == "OPTIONS") return preflight("GET");
  return method_of(request) == "GET" ? page->answer : wrong_method("GET");
}

std::optional<Answer> Service::serve(Call& call) {
  if (auto refused = identify(call)) return refused;
  if (call.request.body_too_large) return too_large();
  if (auto refused = read_body(call)) return refused;
  if (auto answer = prepare(call)) return answer;
  return transact(call);
}

std::optional<Answer> Service::identify(Call& call) {
  const Request& request = call.request;
  if (request.caller) {
    call.caller = *request.caller;
    return std::nullopt;
  }
  const bool logs_in =
      !request.authorization.empty() || !request.hex_username.empty();
  switch (call.route.access) {
    case Access::kAnyone:
      return logs_in ? log_in(call) : std::nullopt;
    case Access::kAlarmKey:
      return logs_in || !request.asked("key") ? log_in(call)
                                              : check_alarm_key(call);
    case Access::kCustomer: return log_in(call);
    case Access::kServer: return find_server(call);
    case Access::kPrivileged: return find_privileged(call);
    case Access::kAdmin:
      if (request.passed_on) return forbidden();
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
                 row->text("username"), stored};
  return std::nullopt;
}

std::optional<Answer> Service::check_password(const Call& call,
                                              const std::string& username,
                                              const std::string& password,
                                              const std::string& stored) {
  const std::string network = network_of(call.request.address);
  const std::string user_here = network + '\n' + username;
  const std::array<std::pair<Throttle&, std::string_view>, 3> counts = {
      {{failures_by_user_here_, user_here},
       {failures_by_user_, username},
       {failures_by_network_, network}}};
  std::size_t paid = 0;
  const auto give_back = [&] {
    for (; paid > 0; --paid) counts[paid - 1].first.give_back(counts[paid - 1].second);
  };
  const auto may_try = [&] {
    const std::int64_t now_ms = tools_.clock.monotonic_ms();
    for (const auto& [throttle, name] : counts) {
      if (!throttle.take(name, now_ms)) {
        give_back();
        return false;
      }
      ++paid;
    }
    return true;
  };
  switch (tools_.passwords.verify(username, password, stored, may_try)) {
    case Passwords::Verdict::kRight:
      give_back();
      return std::nullopt;
    case Passwords::Verdict::kWrong: return unauthorized();
    case Passwords::Verdict::kRefused:
      return too_many(static_cast<int>(kUserRefill_ms / 1000));
    case Passwords::Verdict::kBusy: return busy();
  }
  return unauthorized();
}

// Told apart before the writers' turn is asked for: a wrong key costs them nothing.
// It alone is counted: a right one is no guess, whoever else is in that network.
std::optional<Answer> Service::check_alarm_key(Call& call) {
  const std::int64_t id = call.number() - kUidBase;
  const Answer looked = database_.read([&](Transaction& transaction) {
    const bool fits = has_alarm_key(call, transaction, id);
    return fits ? ok_message() : forbidden();
  });
  if (!looked.refuses()) {
    call.caller.kind = Caller::Kind::kContainer;
    call.caller.id = id;
    return std::nullopt;
  }
  const bool may_guess =
      looked.status != 403 ||
      failures_by_network_.take(network_of(call.request.address),
                                tools_.clock.monotonic_ms());
  return may_guess ? looked
                   : too_many(static_cast<int>(kNetworkRefill_ms / 1000));
}

// Any domain's requests may be sent here by the router, with certificates of
// whatever its owner calls an authority; those of our own name count.
std::optional<Answer> Service::find_server(Call& call) {
  const std::string own = host_of(call.options.domain);
  if (call.request.subject.empty() || own.empty() ||
      call.request.forwarded_host != own) {
    return forbidden();
  }
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
                 row->text("name"), "", subject};
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

std::optional<Answer> Service::read_body(Call& call) const {
  const Route& route = call.route;
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

// What takes long happens unless a look at the store makes it needless.
std::optional<Answer> Service::prepare(Call& call) {
  const Route& route = call.route;
  if (route.prepare == nullptr) return std::nullopt;
  std::optional<Answer> earlier;
  const Answer looked = database_.read([&](Transaction& transaction) {
    earlier = earlier_answer(call, transaction);
    if (earlier || route.before == nullptr) return ok_message();
    return route.before(call, transaction);
  });
  if (earlier) return earlier;
  if (looked.refuses()) return looked;
  return route.prepare(call);
}

Answer Service::transact(Call& call) {
  const Route& route = call.route;
  if (route.mode == Mode::kRead) {
    return database_.read([&](Transaction& transaction) {
      if (auto refused = caller_left(call, transaction)) {
        return *std::move(refused);
      }
      return route.handler(call, transaction);
    });
  }
  return database_.write([&](Transaction& transaction) {
    if (auto refused = caller_left(call, transaction)) {
      return *std::move(refused);
    }
    if (auto before = earlier_answer(call, transaction)) {
      return *std::move(before);
    }
    Answer answer = route.handler(call, transaction);
    if (!answer.refuses()) remember_answer(call, transaction, answer);
    return answer;
  });
}

void Service::complete(Entrance entrance, Answer& answer) const {
  if (!answer.body.is_null()) answer.text = json_line(answer.body);
  const std::string origin = tools_.options.get()->allow_origin;
  if (origin.empty() || entrance != Entrance::kPublic) return;
  answer.headers["Access-Control-Allow-Origin"] = origin;
  answer.headers["Access-Control-Expose-Headers"] =
      "ETag, Idempotency-Replayed, Retry-After";
}

void Service::finish(const Request& request, Answer& answer) const {
  complete(request.entrance, answer);
  if (answer.status != 200 || answer.follow ||
      (request.method != "GET" && request.method != "HEAD")) {
    return;
  }
  const std::string etag = etag_of(answer.text);
  answer.headers["ETag"] = etag;
  answer.headers.try_emplace("Cache-Control", "private, no-cache");
  answer.headers["Vary"] = "Authorization, X-uwsgi-it-username";
  if (names(request.if_none_match, etag)) {
    answer.status = 304;
    answer.text.clear();
  }
}

}  // namespace fealty::api
