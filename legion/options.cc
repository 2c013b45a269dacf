#include "legion/options.h"

#include <algorithm>

namespace fealty::legion {
namespace {

// The sealed wire's key is only as good as what it is made from.
constexpr std::size_t kSecretBytesLeast = 16;
// The part of the tolerance by which a lease ends before a promise.
constexpr std::int64_t kLeaseMargin = 20;

}  // namespace

std::vector<std::string> warnings_of(const LegionOptions& options) {
  std::vector<std::string> out;
  const std::size_t members = options.nodes.size() + 1;
  if (members > 1 && options.election.quorum * 2 <= members) {
    out.push_back("a quorum of " + std::to_string(options.election.quorum) +
                  " is not above half of " + std::to_string(members) +
                  " members: a network that is cut in parts may have several "
                  "Lords");
  }
  if (options.wire == Wire::kSealed &&
      options.secret.size() < kSecretBytesLeast) {
    out.push_back("the secret is shorter than 16 bytes: whoever records packets "
                  "may guess it");
  }
  const auto& unlord = options.hooks[static_cast<std::size_t>(Event::kUnlord)];
  const bool runs_commands =
      std::any_of(unlord.begin(), unlord.end(), [](const HookAction& action) {
        return action.kind == HookAction::Kind::kExec;
      });
  if (runs_commands && options.election.quorum > 1 &&
      options.hook_timeout_ms > options.election.tolerance_ms / kLeaseMargin) {
    out.push_back("the commands of unlord may take longer than a twentieth of "
                  "the tolerance: what they give back is no address that goes by "
                  "itself, and another may be Lord before they are done");
  }
  return out;
}

}  // namespace fealty::legion
