#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace fealty::cli {

// How a customer gets into an API.
struct Profile {
  std::string url = {};          // as ApiUrl::to_string() writes it
  std::string user = {};
  std::string password = {};
  std::string ca_file = {};      // absolute; "": the system's CAs
  bool insecure = false;         // the password may go over plain HTTP

  bool operator==(const Profile&) const = default;
};

struct Profiles {
  std::string current = "default";   // "": nobody's
  std::map<std::string, Profile> by_name;
};

// $XDG_CONFIG_HOME/fealty/profiles.json; where that is not set, ~/.config's.
[[nodiscard]] std::string profiles_path();

// None where there is no file. Refused is one that others may read, or that is
// somebody else's: it holds passwords.
[[nodiscard]] Result<Profiles> read_profiles(const std::string& path);

// Reads, lets `change` change, and writes in one step; other processes that do
// the same wait meanwhile.
[[nodiscard]] Status change_profiles(const std::string& path,
                                     void (*change)(Profiles&, void*),
                                     void* context);
template <typename Change>
[[nodiscard]] Status change_profiles(const std::string& path, Change change) {
  return change_profiles(
      path,
      [](Profiles& profiles, void* context) {
        (*static_cast<Change*>(context))(profiles);
      },
      &change);
}

}  // namespace fealty::cli
