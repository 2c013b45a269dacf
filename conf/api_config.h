#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/options.h"
#include "base/result.h"

namespace fealty::conf {

struct LoadedApi {
  api::Options options;
  // What --dump-config prints (see router_config.h).
  std::string dump;
};

// The REST API's YAML file (conf/api.yaml is a commented sample), or all its
// problems; in everything as the router's (router_config.h), which `knows_user`
// is explained in. The key file is not opened here.
[[nodiscard]] Result<LoadedApi, std::vector<std::string>> load_api_config(
    const std::string& path, bool (*knows_user)(const std::string&) = nullptr);

// The same of a text.
[[nodiscard]] Result<LoadedApi, std::vector<std::string>> parse_api_config(
    std::string_view text, const std::string& file_name,
    bool (*knows_user)(const std::string&) = nullptr);

}  // namespace fealty::conf
