#include "cli/client/runs.h"

#include "cli/admin_client.h"
#include "cli/client/visible.h"

namespace fealty::cli::runs {
namespace {

std::string item_path(const Session& session, std::int64_t number) {
  return std::string(session.resource().item) + std::to_string(number);
}

// Some lists have an object's number in place of the object.
void name_number(const Resource& resource, Json& object) {
  if (!object.is_number_integer()) return;
  Json named = Json::object();
  named[std::string(resource.id)] = std::move(object);
  object = std::move(named);
}

Result<std::string, Problem> first_operand(const Session& session) {
  const std::string& operand = session.command().parameters.front().name;
  const std::string text = session.call().one(operand);
  if (text.empty()) return wrong_usage(operand + " is missing; see --help");
  return text;
}

std::string named(const Session& session, std::int64_t number,
                  const char* what) {
  const std::string& said = session.command().said;
  return std::string(session.resource().name) + " " + std::to_string(number) +
         ": " + (said.empty() ? what : said);
}

std::string created_id(const Session& session, const Json& answer) {
  for (const std::string_view key : {std::string_view("uid"),
                                     session.resource().id}) {
    const auto at = answer.find(key);
    if (at != answer.end()) return cell_text(*at);
  }
  return "";
}

// Secrets that a new object must have are asked for.
Done ask_secrets(Session& session, Json& body) {
  for (const Setting& key : session.resource().keys) {
    if (key.kind != KeyKind::kSecret || !session.command().is_admin() ||
        body.contains(key.where())) {
      continue;
    }
    const Done put = put_setting(body, key, "?", session.help());
    if (!put) return put;
  }
  return Ok{};
}

}  // namespace

Result<std::string, Problem> query_of(Session& session) {
  std::string query;
  for (const Parameter& parameter : session.command().parameters) {
    const std::string& key = parameter.key;
    if (key.empty() || !session.call().has(parameter.name)) continue;
    std::string value = session.call().one(parameter.name);
    if (key == "container") {
      const auto number = session.number_of(containers(), value);
      if (!number) return number.error();
      value = std::to_string(*number);
    }
    query += (query.empty() ? "?" : "&") + key + "=" + percent_encoded(value);
  }
  return query;
}

Result<Json, Problem> body_of(Session& session) {
  const ClientCommand& command = session.command();
  auto body = read_settings(command.resource->keys,
                            session.call().all(kSettings), session.help());
  if (!body) return body;
  if (!command.fixed.empty()) body->update(Json::parse(command.fixed));
  for (const Parameter& parameter : command.parameters) {
    if (parameter.key.empty() || !session.call().has(parameter.name)) continue;
    const Setting* const key = find_key(command.resource->keys, parameter.key);
    const bool is_flag = parameter.take == Take::kFlag;
    const Done put = put_text(
        *body, key == nullptr ? Setting{parameter.key} : *key,
        is_flag ? "yes" : session.call().one(parameter.name), session.help());
    if (!put) return put.error();
  }
  return body;
}

Result<std::int64_t, Problem> target_of(Session& session) {
  const auto text = first_operand(session);
  if (!text) return text.error();
  return session.number_of(session.resource(), *text);
}

Result<std::string, Problem> path_of(Session& session) {
  std::string path = session.command().at;
  if (path.empty()) return std::string(session.resource().path);
  const auto text = first_operand(session);
  if (!text) return text;
  const std::string& operand = session.command().parameters.front().name;
  std::string place = percent_encoded(*text);
  if (operand != "SERVER") {
    const auto number = session.number_of(
        operand == "DOMAIN" ? domains() : containers(), *text);
    if (!number) return number.error();
    place = std::to_string(*number);
  }
  return path.replace(path.find("{}"), 2, place);
}

Done list(Session& session) {
  const auto path = path_of(session);
  if (!path) return path.error();
  const auto query = query_of(session);
  if (!query) return query.error();
  auto found = session.get_list(*path + *query);
  if (!found) return found.error();
  if (session.form() != Form::kJson) {
    for (Json& each : *found) name_number(session.resource(), each);
  }
  return session.print_list(session.resource(), *found);
}

Done show(Session& session) {
  std::string path(session.resource().item);
  if (!session.command().parameters.empty()) {
    const auto number = target_of(session);
    if (!number) return number.error();
    path += std::to_string(*number);
  }
  const auto object = session.get(path);
  if (!object) return object.error();
  return session.print(object_text(*object, session.form()));
}

Done add(Session& session) {
  const auto path = path_of(session);
  if (!path) return path.error();
  auto body = body_of(session);
  if (!body) return body.error();
  if (Done asked = ask_secrets(session, *body); !asked) return asked;
  const auto answer = session.post(*path, *body);
  if (!answer) return answer.error();
  const std::string id = created_id(session, *answer);
  return session.report(
      *answer, id, std::string(session.resource().name) + " " + id + ": created");
}

Done set(Session& session) {
  const auto body = body_of(session);
  if (!body) return body.error();
  const auto number = target_of(session);
  if (!number) return number.error();
  const auto answer = session.post(item_path(session, *number), *body);
  if (!answer) return answer.error();
  return session.report(*answer, "", named(session, *number, "changed"));
}

Done remove(Session& session) {
  const auto number = target_of(session);
  if (!number) return number.error();
  const auto answer =
      session.answer_to({"DELETE", item_path(session, *number)});
  if (!answer) return answer.error();
  return session.report(*answer, "", named(session, *number, "removed"));
}

Done remove_mapping(Session& session) {
  const auto path = path_of(session);
  if (!path) return path.error();
  const auto body = body_of(session);
  if (!body) return body.error();
  const auto answer = session.answer_to({"DELETE", *path, body->dump()});
  if (!answer) return answer.error();
  return session.report(*answer, "", "removed");
}

Done add_domain(Session& session) {
  Done done = add(session);
  constexpr int kForbidden = 403;
  if (done || done.error().status != kForbidden) return done;
  const auto me = session.get("/me");
  if (!me || !me->contains("uuid")) return done;
  return Problem(done.error().message +
                 "\nTo show that the domain is yours, add this record to its "
                 "zone and try again:\n    " +
                 visible(session.call().one("NAME")) + ". TXT \"uwsgi:" +
                 visible(cell_text((*me)["uuid"])) + "\"");
}

Done list_custom_distros(Session& session) {
  std::string path(session.resource().path);
  if (session.call().has("--usable-by")) {
    const auto number =
        session.number_of(containers(), session.call().one("--usable-by"));
    if (!number) return number.error();
    path += "/" + std::to_string(*number);
  }
  const auto found = session.get_list(path);
  if (!found) return found.error();
  return session.print_list(session.resource(), *found);
}

}  // namespace fealty::cli::runs
