#include "sni/snapshot.h"

namespace fealty::sni {

const Identity* Snapshot::find(std::string_view host) const {
  if (host.empty() || host.front() == '.' || host.front() == '[') {
    return nullptr;
  }
  if (const Identity* const own = tree_.find(host)) return own;
  return tree_.find_above<kWildcardSteps>(host);
}

}  // namespace fealty::sni
