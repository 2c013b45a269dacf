#include "subscription/paths.h"

namespace fealty::subscription {

bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() < 2) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

bool path_within(std::string_view path, std::string_view prefix) {
  if (prefix.empty()) return false;
  if (prefix.front() == '@') return path.starts_with(prefix);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.starts_with(prefix) &&
         (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace fealty::subscription
