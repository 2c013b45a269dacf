#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "legion/options.h"

namespace fealty::conf {

struct LoadedLegion {
  legion::Options options;
  // What --dump-config prints (see router_config.h). Secrets are left out.
  std::string dump;
};

// The Legion member's YAML file (conf/legion-two.yaml and conf/legion-three.yaml
// are commented samples), or all its problems; in everything as the router's
// (router_config.h), which `knows_user` is explained in. Secret files are not
// opened here.
[[nodiscard]] Result<LoadedLegion, std::vector<std::string>> load_legion_config(
    const std::string& path, bool (*knows_user)(const std::string&) = nullptr);

// The same of a text. Fuzzed by tests/fuzz/fuzz_legion_config.cc.
[[nodiscard]] Result<LoadedLegion, std::vector<std::string>>
parse_legion_config(std::string_view text, const std::string& file_name,
                    bool (*knows_user)(const std::string&) = nullptr);

}  // namespace fealty::conf
