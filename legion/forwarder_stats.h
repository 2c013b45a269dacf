#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "legion/forwarder.h"

namespace fealty::legion {

// The forwarder's part of what the admin listener shows (stats.h).
[[nodiscard]] nlohmann::ordered_json forwarder_json(const Forwarder& forwarder);
[[nodiscard]] std::string forwarder_metrics(const Forwarder& forwarder);

}  // namespace fealty::legion
