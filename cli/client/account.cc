#include "cli/client/prompt.h"
#include "cli/client/runs.h"
#include "cli/client/visible.h"

namespace fealty::cli::runs {
namespace {

// What is to be stored: whatever was not given is what it was, or is asked for.
Result<Profile, Problem> new_profile(Session& session) {
  auto profile = session.profile();
  if (!profile) return profile;
  if (profile->url.empty()) {
    return wrong_usage("which API? fealty login https://HOST/api --user NAME");
  }
  if (!session.call().has("--user")) {
    auto user = ask("User" + (profile->user.empty()
                                  ? ""
                                  : " [" + visible(profile->user) + "]"),
                    Echo::kYes);
    if (!user) return wrong_usage(user.error().message + "; --user NAME");
    if (!user->empty()) profile->user = *std::move(user);
  }
  if (profile->user.empty() || profile->user.find(':') != std::string::npos) {
    return wrong_usage("a user's name is expected, without a colon");
  }
  if (!is_utf8(profile->user)) return wrong_usage("--user: this is no UTF-8");
  return profile;
}

Result<std::string, Problem> new_password(Session& session) {
  const ClientCall& call = session.call();
  if (call.has("--new-password-stdin")) return read_secret_from_stdin();
  if (call.has("--new-password-file")) {
    return read_secret_from(call.one("--new-password-file"));
  }
  return ask_new_secret("New password");
}

}  // namespace

Done log_in(Session& session) {
  auto name = session.profile_name();
  if (!name) return name.error();
  if (name->empty()) *name = Profiles().current;
  auto profile = new_profile(session);
  if (!profile) return profile.error();
  // Before the password is typed: whether it may go there at all.
  if (const auto may = session.settings_for(*profile); !may) return may.error();
  auto password = session.password();
  if (!password) return password.error();
  if (password->empty()) return Problem("there is no password", kExitLogin);
  profile->password = *std::move(password);
  auto settings = session.settings_for(*profile);
  if (!settings) return settings.error();
  session.use(ApiClient(*std::move(settings)));
  const auto me = session.get("/me");
  if (!me) return me.error();
  if (!me->contains("uuid")) {
    return Problem(profile->url + " answers no account; is this the API?");
  }
  const Status kept =
      change_profiles(profiles_path(), [&](Profiles& profiles) {
        profiles.by_name[*name] = *profile;
        profiles.current = *name;
      });
  if (!kept) return Problem(kept.error());
  return session.report(*me, "",
                        "logged in to " + profile->url + " as " +
                            profile->user + " (profile " + *name + ")");
}

Done log_out(Session& session) {
  const auto name = session.profile_name();
  const auto stored = session.profiles();
  if (!name || !stored) return name ? stored.error() : name.error();
  if (name->empty()) return Problem("nobody is logged in", kExitLogin);
  if (!stored->by_name.contains(*name)) {
    return Problem("there is no profile " + visible(*name));
  }
  const Status kept =
      change_profiles(profiles_path(), [&](Profiles& profiles) {
        profiles.by_name.erase(*name);
        // Nobody becomes another than they took themselves for.
        if (profiles.current == *name) profiles.current.clear();
      });
  if (!kept) return Problem(kept.error());
  return session.report({{"profile", *name}}, "",
                        "profile " + *name + " is forgotten");
}

Done list_profiles(Session& session) {
  const auto profiles = session.profiles();
  if (!profiles) return profiles.error();
  Json list = Json::array();
  for (const auto& [name, profile] : profiles->by_name) {
    list.push_back({{"name", name},
                    {"url", profile.url},
                    {"user", profile.user},
                    {"current", name == profiles->current}});
  }
  static const std::vector<Column> columns = {
      {"name", "NAME"}, {"url", "API"}, {"user", "USER"}, {"current", "CURRENT"}};
  return session.print(list_text(columns, list, session.form()));
}

Done set_me(Session& session) {
  const auto body = body_of(session);
  if (!body) return body.error();
  const auto answer = session.post("/me", *body);
  if (!answer) return answer.error();
  return session.report(*answer, "", "changed");
}

Done change_password(Session& session) {
  // A wrong old one is told before the new one is typed.
  if (const auto me = session.get("/me"); !me) return me.error();
  const auto name = session.profile_name();
  const auto profile = session.profile();
  const auto stored = session.profiles();
  if (!name || !profile) return name ? profile.error() : name.error();
  if (!stored) return stored.error();
  auto password = new_password(session);
  if (!password) return password.error();
  if (password->empty()) return Problem("an empty password is none");
  const auto answer = session.post("/me", {{"password", *password}});
  if (!answer) {
    return Problem(answer.error().message +
                       " (which password counts now, fealty login tells)",
                   answer.error().exit_code);
  }
  const auto is_it = [&](const Profiles& all) {
    const auto at = all.by_name.find(*name);
    return at != all.by_name.end() && at->second.url == profile->url &&
           at->second.user == profile->user;
  };
  if (is_it(*stored)) {
    const Status kept =
        change_profiles(profiles_path(), [&](Profiles& profiles) {
          if (is_it(profiles)) profiles.by_name[*name].password = *password;
        });
    if (!kept) {
      return Problem("the password is changed, but not stored here: " +
                     kept.error().message + "; log in again");
    }
  }
  return session.report(*answer, "", "the password is changed");
}

}  // namespace fealty::cli::runs
