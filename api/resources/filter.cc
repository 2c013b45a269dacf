#include "api/resources/filter.h"

#include <charconv>

namespace fealty::api {
namespace {

constexpr std::size_t kTagsMax = 64;

}  // namespace

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<std::int64_t> asked_number(const Call& call,
                                         std::string_view key, bool& valid) {
  const auto text = call.request.asked(key);
  if (!text) return std::nullopt;
  std::int64_t value = 0;
  const char* const end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, value);
  if (error == std::errc() && at == end && !text->empty() && value >= 0) {
    return value;
  }
  valid = false;
  return std::nullopt;
}

std::optional<std::int64_t> asked_limit(const Call& call,
                                        std::int64_t otherwise) {
  bool valid = true;
  const auto limit = asked_number(call, "limit", valid);
  if (!valid || (limit && (*limit < 1 || *limit > kPageMax))) return std::nullopt;
  return limit.value_or(otherwise);
}

Answer bad_page() {
  return bad_request("limit: 1 to " + std::to_string(kPageMax) +
                     ", after: the last id of the page before");
}

void Filter::add(std::string_view condition, const Values& values) {
  conditions_ += (conditions_.empty() ? " WHERE " : " AND ");
  conditions_ += condition;
  values_.insert(values_.end(), values.begin(), values.end());
}

void Filter::add_tags(const Call& call, std::string_view table,
                      std::string_view object) {
  const auto asked = call.request.asked("tags");
  if (!asked) return;
  std::vector<std::string> names = split_commas(*asked);
  too_many_tags_ = names.size() > kTagsMax;
  if (too_many_tags_) return;
  std::string marks;
  Values values{call.caller.id};
  for (std::string& name : names) {
    marks += marks.empty() ? "?" : ", ?";
    values.emplace_back(std::move(name));
  }
  add(std::string(object) + " IN (SELECT m.object_id FROM " +
          std::string(table) + " m JOIN tags t ON t.id = m.tag_id "
          "WHERE t.customer_id = ? AND t.name IN (" + marks + "))",
      values);
}

std::optional<Answer> Filter::add_page(const Call& call,
                                       std::string_view column,
                                       std::int64_t otherwise) {
  if (too_many_tags_) {
    return bad_request("tags: " + std::to_string(kTagsMax) + " names at most");
  }
  bool valid = true;
  const auto after = asked_number(call, "after", valid);
  const auto limit = asked_limit(call, otherwise);
  if (!valid || !limit) return bad_page();
  if (after) add(std::string(column) + " > ?", {*after});
  order_ = " ORDER BY " + std::string(column) + " LIMIT " + std::to_string(*limit);
  return std::nullopt;
}

}  // namespace fealty::api
