#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/client/api_client.h"
#include "cli/client/command_table.h"
#include "cli/client/listing.h"
#include "cli/client/problem.h"
#include "cli/client/profile.h"
#include "cli/client/settings.h"

namespace fealty::cli {

// What a command's run has: what was typed, the API, and where its outcome goes.
// Whom to ask is found when the first question is asked.
class Session {
 public:
  // `patient` asks people for what is missing, and waits for the API; otherwise
  // whatever would take long fails.
  explicit Session(ClientCall call, bool patient = true);

  [[nodiscard]] const ClientCall& call() const { return call_; }
  [[nodiscard]] const ClientCommand& command() const { return *call_.command; }
  [[nodiscard]] const Resource& resource() const { return *command().resource; }

  // Answers that are neither 2xx nor 304 are problems, and say what to do next.
  [[nodiscard]] Result<ApiAnswer, Problem> send(const ApiRequest& request);
  // As the client does; the answer where it is over.
  [[nodiscard]] Result<ApiAnswer, Problem> listen(
      const std::string& path, const ApiClient::OnPiece& on_piece);
  // What is no JSON, or not of this type, is no answer of the API's.
  [[nodiscard]] Result<Json, Problem> answer_to(
      const ApiRequest& request, Json::value_t type = Json::value_t::object);
  [[nodiscard]] Result<Json, Problem> get(const std::string& path);
  [[nodiscard]] Result<Json, Problem> get_list(const std::string& path);
  [[nodiscard]] Result<Json, Problem> post(const std::string& path,
                                           const Json& body);

  // The number of an object that is given by it or by its name.
  [[nodiscard]] Result<std::int64_t, Problem> number_of(
      const Resource& resource, const std::string& text);
  [[nodiscard]] SettingHelp help();

  // A line, or the answer as it is, to stdout.
  [[nodiscard]] Form form() const { return form_; }
  [[nodiscard]] bool is_terminal() const { return is_terminal_; }
  [[nodiscard]] static Done print(const std::string& text);
  [[nodiscard]] Done print_list(const Resource& resource, const Json& list);
  // What was done: `word` for a program, `said` for a person.
  [[nodiscard]] Done report(const Json& answer, const std::string& word,
                            const std::string& said);

  // Where the password comes from: a file, stdin or the terminal.
  [[nodiscard]] Result<std::string, Problem> password();
  // Those that are stored, read once.
  [[nodiscard]] Result<Profiles, Problem> profiles();
  // The profile's name ("": nobody's), and the profile as the options change it;
  // it may have no URL and no user.
  [[nodiscard]] Result<std::string, Problem> profile_name();
  [[nodiscard]] Result<Profile, Problem> profile();
  // As `profile` says; refused where the password would be seen on its way.
  [[nodiscard]] Result<ApiClient::Settings, Problem> settings_for(
      const Profile& profile) const;
  void use(ApiClient client) { client_.emplace(std::move(client)); }

 private:
  using Question = std::function<Result<ApiAnswer>(const ApiClient&)>;
  [[nodiscard]] Result<ApiAnswer, Problem> ask_api(const Question& question);
  [[nodiscard]] Result<ApiClient::Settings, Problem> find_settings();
  [[nodiscard]] Result<std::int64_t, Problem> timeout_ms() const;
  [[nodiscard]] std::string option_or(std::string_view option,
                                      const char* variable) const;

  ClientCall call_;
  bool patient_;
  bool is_terminal_;
  Form form_;
  std::optional<Profiles> profiles_;
  std::optional<ApiClient> client_;
};

// The words for an answer that refuses.
[[nodiscard]] Problem refusal(const ApiAnswer& answer, const std::string& where);

}  // namespace fealty::cli
