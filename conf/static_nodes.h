#pragma once

#include <string>

#include "conf/section.h"
#include "subscription/options.h"

namespace fealty::conf {

// Reads `static`, a list of {key, nodes, protocol, weight, modifier1, modifier2,
// backup, algorithm}, behind the section `subscription`: whether a key may have
// a mountpoint depends on that. An entry is one StaticNode an address. Relative
// paths of Unix sockets are taken from `folder`.
void read_static_nodes(Section& file, const std::string& folder,
                       subscription::Options& options);

}  // namespace fealty::conf
