#include "cli/client/session.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "cli/admin_client.h"
#include "cli/advice.h"
#include "cli/client/prompt.h"
#include "cli/client/visible.h"

namespace fealty::cli {
namespace {

constexpr std::size_t kShownBytesMax = 300;

std::string field_of(const Json& body, const char* key) {
  if (!body.is_object()) return "";
  const auto at = body.find(key);
  return at != body.end() && at->is_string() ? visible(at->get<std::string>())
                                             : "";
}

std::string advice_on(const ApiAnswer& answer, bool has_reason) {
  switch (answer.status) {
    case 401:
      return "; the user or the password is not right (any more): fealty login";
    case 403: return has_reason ? "" : "; it is not yours, or not there";
    case 404: return has_reason ? "" : "; is the name or number right?";
    case 429:
      return "; too many wrong passwords, try again " +
             (answer.retry_after.empty()
                  ? "later"
                  : "in " + visible(answer.retry_after) + " s");
    default: return answer.status >= 500 ? "; try again later" : "";
  }
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 12 &&
         text.find_first_not_of("0123456789") == text.npos;
}

// Whether one of the keys that objects are called by has this text.
bool is_called(const Json& object, std::string_view keys,
               const std::string& text) {
  while (!keys.empty()) {
    const std::size_t end = std::min(keys.find(','), keys.size());
    const auto at = object.find(keys.substr(0, end));
    if (at != object.end() && cell_text(*at) == text) return true;
    keys.remove_prefix(std::min(end + 1, keys.size()));
  }
  return false;
}

const Resource& resource_of(KeyKind kind) {
  if (kind == KeyKind::kDistro) return distros();
  return kind == KeyKind::kCustomDistro ? custom_distros() : containers();
}

}  // namespace

Problem refusal(const ApiAnswer& answer, const std::string& where) {
  if (answer.status / 100 == 3) {
    return Problem(where + " sends elsewhere (" + std::to_string(answer.status) +
                   "); is the API at " + visible(answer.location) + "?");
  }
  const Json body = parse_json(answer.body).value_or(Json());
  const int exit_code = answer.status == 401 ? kExitLogin : kExitRun;
  const std::string error = field_of(body, "error");
  const std::string reason = field_of(body, "reason");
  if (error.empty()) {
    const std::string said =
        visible(std::string_view(answer.body).substr(0, kShownBytesMax));
    return Problem(where + " answers " + std::to_string(answer.status) +
                       ", and not as the API does; is this its address? " + said,
                   exit_code, answer.status);
  }
  return Problem("the API says " + std::to_string(answer.status) + " " + error +
                     (reason.empty() ? "" : ": " + reason) +
                     advice_on(answer, !reason.empty()),
                 exit_code, answer.status);
}

Session::Session(ClientCall call, bool patient)
    : call_(std::move(call)),
      patient_(patient),
      is_terminal_(::isatty(STDOUT_FILENO) == 1),
      form_(call_.has("--json") ? Form::kJson
            : is_terminal_      ? Form::kTable
                                : Form::kTabs) {}

std::string Session::option_or(std::string_view option,
                               const char* variable) const {
  if (call_.has(option)) return call_.one(option);
  const char* const value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

Result<std::int64_t, Problem> Session::timeout_ms() const {
  constexpr std::int64_t kImpatient_ms = 2'000;
  if (!patient_) return kImpatient_ms;
  const auto read = read_duration_ms(call_.one("--timeout"));
  if (!read || *read < 1) {
    return wrong_usage("--timeout: a time is expected, as in 500ms or 30s");
  }
  return *read;
}

Result<std::string, Problem> Session::password() {
  if (call_.has("--password-stdin")) return read_secret_from_stdin();
  if (call_.has("--password-file")) {
    return read_secret_from(call_.one("--password-file"));
  }
  if (!patient_) return Problem("there is no password", kExitLogin);
  auto typed = ask("Password", Echo::kNo);
  if (!typed && ::isatty(STDIN_FILENO) != 1) {
    return Problem(typed.error().message +
                   "; give it by --password-stdin or --password-file FILE");
  }
  return typed;
}

Result<Profiles, Problem> Session::profiles() {
  if (!profiles_) {
    auto read = read_profiles(profiles_path());
    if (!read) return Problem(read.error());
    profiles_ = *std::move(read);
  }
  return *profiles_;
}

Result<std::string, Problem> Session::profile_name() {
  std::string name = option_or("--profile", "FEALTY_PROFILE");
  if (!name.empty()) return name;
  const auto stored = profiles();
  if (!stored) return stored.error();
  return stored->current;
}

Result<Profile, Problem> Session::profile() {
  const auto name = profile_name();
  if (!name) return name.error();
  const auto stored = profiles();
  if (!stored) return stored.error();
  const auto known = stored->by_name.find(*name);
  Profile out = known == stored->by_name.end() ? Profile() : known->second;
  const std::string text = call_.has("URL") ? call_.one("URL")
                                            : option_or("--url", "FEALTY_URL");
  if (!text.empty()) {
    const auto url = read_api_url(text);
    if (!url) return wrong_usage(url.error().message);
    // What is known of one API, its password above all, is for no other.
    if (url->to_string() != out.url) out = Profile();
    out.url = url->to_string();
  }
  if (call_.has("--user") && call_.one("--user") != out.user) {
    out.user = call_.one("--user");
    out.password.clear();
  }
  if (call_.has("--ca")) {
    char* const path = ::realpath(call_.one("--ca").c_str(), nullptr);
    if (path == nullptr) return Problem("--ca: there is no such file");
    out.ca_file = path;
    ::free(path);
  }
  out.insecure = out.insecure || call_.has("--insecure");
  return out;
}

Result<ApiClient::Settings, Problem> Session::settings_for(
    const Profile& profile) const {
  const auto url = read_api_url(profile.url);
  if (!url) return Problem(url.error());
  if (!url->tls && !url->is_loopback() && !profile.insecure &&
      !profile.user.empty()) {
    return wrong_usage(url->to_string() +
                       ": over plain HTTP the password could be read on its "
                       "way; use https://, or allow it by --insecure");
  }
  const auto timeout = timeout_ms();
  if (!timeout) return timeout.error();
  return ApiClient::Settings{*url, profile.user, profile.password,
                             profile.ca_file, *timeout, patient_ ? 3 : 1};
}

Result<ApiClient::Settings, Problem> Session::find_settings() {
  if (command().is_admin()) {
    const auto address = read_address(call_.one("--admin"));
    if (!address) return wrong_usage("--admin: " + address.error().message);
    if (!address->is_unix() && !is_loopback(*address)) {
      return wrong_usage("--admin " + address->to_string() +
                         ": over plain HTTP secrets could be read on their way; "
                         "a Unix socket, or an address of this host (by ssh -L) "
                         "is expected");
    }
    const auto timeout = timeout_ms();
    if (!timeout) return timeout.error();
    return ApiClient::Settings{*address, {}, {}, {}, *timeout, patient_ ? 3 : 1};
  }
  auto found = profile();
  if (!found) return found.error();
  const bool needs_login = command().resource != &news();
  if (found->url.empty() || (found->user.empty() && needs_login)) {
    const auto name = profile_name();
    const bool is_named = name && !name->empty();
    return Problem(
        "nobody is logged in" +
            (is_named ? " (profile " + visible(*name) + ")" : "") +
            ": fealty login https://HOST/api --user NAME" +
            (is_named ? "" : ", or --profile NAME for one of fealty profiles"),
        kExitLogin);
  }
  const bool given = call_.has("--password-file");
  if (!found->user.empty() && (given || found->password.empty())) {
    auto typed = password();
    if (!typed) {
      return given ? typed.error() : Problem(typed.error().message, kExitLogin);
    }
    found->password = *std::move(typed);
  }
  return settings_for(*found);
}

Result<ApiAnswer, Problem> Session::send(const ApiRequest& request) {
  return ask_api([&](const ApiClient& api) { return api.send(request); });
}

Result<ApiAnswer, Problem> Session::listen(const std::string& path,
                                           const ApiClient::OnPiece& on_piece) {
  return ask_api(
      [&](const ApiClient& api) { return api.listen(path, on_piece); });
}

Result<ApiAnswer, Problem> Session::ask_api(const Question& question) {
  if (!client_) {
    auto settings = find_settings();
    if (!settings) return settings.error();
    client_.emplace(*std::move(settings));
  }
  auto answer = question(*client_);
  if (!answer) {
    std::string message = answer.error().message;
    if (command().is_admin()) {
      message += " It is the API's admin_listen (--admin), and for those who may "
                 "open it.";
    }
    return Problem(std::move(message));
  }
  if (answer->status / 100 == 2 || answer->status == 304) {
    return *std::move(answer);
  }
  return refusal(*answer, client_->where());
}

Result<Json, Problem> Session::answer_to(const ApiRequest& request,
                                         Json::value_t type) {
  const auto answer = send(request);
  if (!answer) return answer.error();
  auto body = parse_json(answer->body);
  if (!body || body->type() != type) {
    return Problem(client_->where() + " answers " +
                   (body ? "something else than was asked for" : "no JSON") +
                   "; is this the API?");
  }
  return *std::move(body);
}

Result<Json, Problem> Session::get(const std::string& path) {
  return answer_to({"GET", path});
}

Result<Json, Problem> Session::get_list(const std::string& path) {
  return answer_to({"GET", path}, Json::value_t::array);
}

Result<Json, Problem> Session::post(const std::string& path, const Json& body) {
  return answer_to({"POST", path, body.dump()});
}

Result<std::int64_t, Problem> Session::number_of(const Resource& resource,
                                                 const std::string& text) {
  const std::string_view called = resource.called;
  // A number is an id, unless another one is called by it: both cannot be meant.
  const bool is_id = is_number(text) && !called.starts_with("uid");
  if (is_id && called.empty()) return std::stoll(text);
  const auto unknown = [&](const char* what) -> Result<std::int64_t, Problem> {
    return Problem("there " + std::string(what) + " " +
                   std::string(resource.name) + " " + visible(text));
  };
  if (called.empty()) {
    return wrong_usage(visible(text) + ": the number of a " +
                       std::string(resource.name) + " is expected");
  }
  const auto list = get_list(std::string(resource.path));
  if (!list) return list.error();
  std::optional<std::int64_t> found;
  for (const Json& object : *list) {
    const auto id = object.find(resource.id);
    if (id == object.end() || !id->is_number_integer() ||
        (cell_text(*id) != text && !is_called(object, called, text))) {
      continue;
    }
    if (found) return unknown("is more than one");
    found = id->get<std::int64_t>();
  }
  if (is_id) return std::stoll(text);
  if (!found) return unknown("is no");
  return *found;
}

SettingHelp Session::help() {
  return {[this](KeyKind kind, const std::string& text) {
            return number_of(resource_of(kind), text);
          },
          [](const std::string& what) { return ask_new_secret(what); }};
}

Done Session::print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fflush(stdout) != 0) {
    // Who reads it has seen enough: nothing is wrong.
    return errno == EPIPE ? Problem("") : Problem("stdout takes nothing any more");
  }
  return Ok{};
}

Done Session::print_list(const Resource& resource, const Json& list) {
  return print(list_text(resource.columns, list, form_));
}

Done Session::report(const Json& answer, const std::string& word,
                     const std::string& said) {
  if (form_ == Form::kJson) return print(json_text(answer));
  const std::string& text = is_terminal_ ? said : word;
  return text.empty() ? Done(Ok{}) : print(visible(text) + "\n");
}

}  // namespace fealty::cli
