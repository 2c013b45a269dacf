#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "api/route.h"

namespace fealty::api {

// A list without ?limit= has so many at most, as one with it.
inline constexpr std::int64_t kPageMax = 10'000;
// But for those who act on a list: what were missing there would be taken away.
inline constexpr std::int64_t kWhole = std::numeric_limits<std::int64_t>::max();

// The conditions and values that a list's WHERE is made of.
class Filter {
 public:
  // `condition` with its question marks.
  void add(std::string_view condition, const Values& values);
  // Those with any of the tags of ?tags=a,b. `object` is the id's column.
  void add_tags(const Call& call, std::string_view table,
                std::string_view object);
  // ?after= and ?limit= by this column, ascending; refuses where these, or the
  // tags before, make no sense. Without a limit there are `otherwise`.
  [[nodiscard]] std::optional<Answer> add_page(
      const Call& call, std::string_view column,
      std::int64_t otherwise = kPageMax);

  // " WHERE … ORDER BY … LIMIT …"
  [[nodiscard]] std::string text() const { return conditions_ + order_; }
  [[nodiscard]] const Values& values() const { return values_; }

 private:
  std::string conditions_;
  std::string order_;
  Values values_;
  bool too_many_tags_ = false;
};

// ?limit=, `otherwise` where there is none; nothing where it makes no sense.
[[nodiscard]] std::optional<std::int64_t> asked_limit(
    const Call& call, std::int64_t otherwise = kPageMax);
[[nodiscard]] Answer bad_page();

// A query's number; `valid` false where it is none.
[[nodiscard]] std::optional<std::int64_t> asked_number(const Call& call,
                                                       std::string_view key,
                                                       bool& valid);
[[nodiscard]] std::vector<std::string> split_commas(const std::string& text);

}  // namespace fealty::api
