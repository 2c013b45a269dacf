#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::api {

// Objects keep the order in which they were written, so that answers read as
// documented.
using Json = nlohmann::ordered_json;

// One JSON value of a request: UTF-8, nested at most kJsonDepthMax deep, without
// NUL in any text (PostgreSQL has none). Throws nothing.
inline constexpr int kJsonDepthMax = 16;
[[nodiscard]] Result<Json> parse_json(std::string_view text);

// Whether the bytes are UTF-8 without NUL.
[[nodiscard]] bool is_text(std::string_view bytes);

// One line, a newline at its end. What is no UTF-8 is replaced.
[[nodiscard]] std::string json_line(const Json& value);

// Writes a list of objects as text, for lists of thousands: a tree of Json values
// would cost several times as much. Values are added in the order in which they
// are to be shown; texts are UTF-8.
class ListWriter {
 public:
  ListWriter() : text_("[") {}

  void begin_object();
  void end_object() { text_ += '}'; }
  void add(std::string_view key, std::int64_t value);
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const std::string& value) {
    add(key, std::string_view(value));
  }
  void add(std::string_view key, const Json& value);
  // A column of a row (database.h), null where it is null.
  template <typename RowLike>
  void add_integer(std::string_view key, const RowLike& row, std::size_t column) {
    row.is_null(column) ? add_null(key) : add(key, row.integer(column));
  }
  template <typename RowLike>
  void add_text(std::string_view key, const RowLike& row, std::size_t column) {
    row.is_null(column) ? add_null(key) : add(key, row.text(column));
  }
  // It is not to grow any more: a list ends here, and goes on with the next page.
  [[nodiscard]] bool is_full() const { return text_.size() >= kBytesMax; }
  // The list, a newline at its end.
  [[nodiscard]] std::string take();

 private:
  static constexpr std::size_t kBytesMax = std::size_t{16} << 20;
  void add_key(std::string_view key);
  void add_null(std::string_view key);

  std::string text_;
};

}  // namespace fealty::api
