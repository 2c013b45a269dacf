#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "router/options.h"
#include "subscription/options.h"

namespace fealty::conf {

// What fealty-router runs with, each part filled for the room that owns it.
struct RouterConfig {
  router::Options router;
  subscription::Options subscription;
};

struct Loaded {
  RouterConfig config;
  // What --dump-config prints: the whole configuration as YAML that reads back
  // to the same, each value with a comment: "default" or file:line.
  std::string dump;
};

// The router's YAML file (conf/router.yaml is a commented sample), or all its
// problems, in the file's order, each `file:line:column: what`; an unknown key
// names the nearest valid one. A file that cannot be read is one problem
// without a line. Relative paths in the file are taken from its folder. Files
// up to 1 MiB. Throws nothing. Touches no file but this one: whether folders and
// addresses exist shows when they are used, and whether the `user` that is
// written there does is asked of `knows_user`, if that is given.
using KnowsUser = bool (*)(const std::string& user);
[[nodiscard]] Result<Loaded, std::vector<std::string>> load_router_config(
    const std::string& path, KnowsUser knows_user = nullptr);

// The same of a text; `file_name` is for the messages, and its folder for
// relative paths. Fuzzed by tests/fuzz/fuzz_router_config.cc.
[[nodiscard]] Result<Loaded, std::vector<std::string>> parse_router_config(
    std::string_view text, const std::string& file_name,
    KnowsUser knows_user = nullptr);

}  // namespace fealty::conf
