#include "api/route.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace fealty::api {
namespace {

constexpr std::size_t kDigitsMax = 12;

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);          // a slash
    const std::size_t end = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= kDigitsMax &&
         text.find_first_not_of("0123456789") == text.npos;
}

// Whether `text` is what one part of a pattern stands for; what its {…} stands
// for goes to `parts`.
bool fits(std::string_view pattern, std::string_view text,
          std::vector<std::string>& parts) {
  const std::size_t open = pattern.find('{');
  if (open == pattern.npos) return pattern == text;
  const std::size_t close = pattern.find('}');
  const std::string_view before = pattern.substr(0, open);
  const std::string_view after = pattern.substr(close + 1);
  if (text.size() <= before.size() + after.size() ||
      !text.starts_with(before) || !text.ends_with(after)) {
    return false;
  }
  text = text.substr(before.size(), text.size() - before.size() - after.size());
  const std::string_view name = pattern.substr(open + 1, close - open - 1);
  if ((name == "id" || name == "uid") && !is_number(text)) return false;
  parts.emplace_back(text);
  return true;
}

bool fits_all(std::string_view pattern,
              const std::vector<std::string_view>& path,
              std::vector<std::string>& parts) {
  parts.clear();
  const auto wanted = split(pattern);
  if (wanted.size() != path.size()) return false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (!fits(wanted[i], path[i], parts)) return false;
  }
  return true;
}

bool is_open_to(const Route& route, Entrance entrance) {
  return (route.access == Access::kAdmin) == (entrance == Entrance::kAdmin);
}

}  // namespace

std::int64_t Call::number(std::size_t part) const {
  const std::string& digits = parts.at(part);
  std::int64_t value = 0;
  const auto end = digits.data() + digits.size();
  FEALTY_CHECK(std::from_chars(digits.data(), end, value).ptr == end);
  return value;
}

Match find_route(const Routes& routes, std::string_view method,
                 std::string_view path, Entrance entrance) {
  Match match;
  if (path.empty() || path.front() != '/') return match;
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto parts_of_path = split(path == "/" ? "" : path);
  for (const Route& route : routes) {
    std::vector<std::string> parts;
    if (!is_open_to(route, entrance) ||
        !fits_all(route.pattern, parts_of_path, parts)) {
      continue;
    }
    match.path_known = true;
    match.allowed += (match.allowed.empty() ? "" : ", ");
    match.allowed += route.method;
    if (route.method != method || match.route != nullptr) continue;
    match.route = &route;
    match.parts = std::move(parts);
  }
  return match;
}

}  // namespace fealty::api
