#include "cli/client/profile.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/fd.h"
#include "cli/client/json.h"
#include "cli/files.h"

namespace fealty::cli {
namespace {

std::string home() {
  const char* const home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return home;
  const passwd* const user = ::getpwuid(::geteuid());
  return user == nullptr ? "/" : user->pw_dir;
}

std::string text_in(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

Profile profile_of(const Json& object) {
  Profile out;
  out.url = text_in(object, "url");
  out.user = text_in(object, "user");
  out.password = text_in(object, "password");
  out.ca_file = text_in(object, "ca");
  out.insecure = object.value("insecure", Json(false)) == true;
  return out;
}

Json object_of(const Profile& profile) {
  Json out = {{"url", profile.url},
              {"user", profile.user},
              {"password", profile.password}};
  if (!profile.ca_file.empty()) out["ca"] = profile.ca_file;
  if (profile.insecure) out["insecure"] = true;
  return out;
}

Result<std::string> text_of(const Profiles& profiles) {
  Json out = {{"current", profiles.current}, {"profiles", Json::object()}};
  for (const auto& [name, profile] : profiles.by_name) {
    out["profiles"][name] = object_of(profile);
  }
  try {
    return out.dump(2) + "\n";
  } catch (const Json::type_error&) {
    return Error{"what is no UTF-8 cannot be stored"};
  }
}

}  // namespace

std::string profiles_path() {
  const char* const config = std::getenv("XDG_CONFIG_HOME");
  const bool is_set = config != nullptr && *config == '/';
  return (is_set ? std::string(config) : home() + "/.config") +
         "/fealty/profiles.json";
}

Result<Profiles> read_profiles(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return Profiles();
  const auto text = read_own_file(path);
  if (!text) return text.error();
  const auto parsed = parse_json(*text);
  if (!parsed || !parsed->is_object()) {
    return Error{path + ": this is no file of fealty login's; remove it, and log "
                        "in again"};
  }
  Profiles out;
  if (parsed->contains("current")) out.current = text_in(*parsed, "current");
  const auto all = parsed->find("profiles");
  if (all == parsed->end() || !all->is_object()) return out;
  for (const auto& [name, object] : all->items()) {
    if (object.is_object()) out.by_name[name] = profile_of(object);
  }
  return out;
}

Status change_profiles(const std::string& path,
                       void (*change)(Profiles&, void*), void* context) {
  Status made = make_folders_of(path);
  if (!made) return made;
  const std::string folder = path.substr(0, path.rfind('/'));
  const UniqueFd lock(
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.valid() || ::flock(lock.get(), LOCK_EX) != 0) {
    return Error{folder + ": " + std::strerror(errno)};
  }
  auto profiles = read_profiles(path);
  if (!profiles) return profiles.error();
  change(*profiles, context);
  const auto text = text_of(*profiles);
  return text ? replace_own_file(path, *text) : Status(text.error());
}

}  // namespace fealty::cli
