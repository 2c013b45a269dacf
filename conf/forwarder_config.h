#pragma once

#include <optional>
#include <string>

#include "conf/section.h"
#include "legion/options.h"

namespace fealty::conf {

// The key `forwarder` of a Legion member's configuration; empty where it is absent
// or null. `knows_user`: see legion_config.h.
[[nodiscard]] std::optional<legion::ForwarderOptions> read_forwarder(
    Section& file, const std::string& folder,
    bool (*knows_user)(const std::string&));

// `secret` or `secret_file`, one of them, of a Legion or of the forwarder.
void read_secret(Section& part, const std::string& folder, std::string& secret,
                 std::string& secret_file);

}  // namespace fealty::conf
