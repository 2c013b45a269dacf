#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fealty::subscription {

// A round is at most this long (or one turn a node); larger weights are scaled
// down to it, and a node's share never falls to nothing.
inline constexpr std::size_t kScheduleLengthMax = 4096;
inline constexpr std::size_t kPoolNodesMax = 4096;

// The order of one round (indexes into `announced`, each at least 1): smooth
// weighted round robin, so that weights 5,1,1 give a a b a c a a. In whatever
// piece of the endless round, a node is within two turns of its share: so a
// schedule may follow another one at any of its turns without a burst. Pure.
[[nodiscard]] std::vector<std::uint16_t> make_schedule(
    std::span<const std::uint32_t> announced);

}  // namespace fealty::subscription
