#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fealty::conf {

// A place in the file, counted from 1 in lines and bytes. Line 0: the value is
// not in the file.
struct Position {
  int line = 0;
  int column = 0;
};

struct Entry;

// One value of a YAML file as it was written: nothing is converted here, so
// "0666" and 1.2 keep their text.
struct Value {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Position at;
  std::string text;             // kScalar, without its quotes
  std::vector<Value> items;     // kList
  std::vector<Entry> entries;   // kMap, in the file's order, each key once
};

struct Entry {
  std::string key;
  Position at;                  // of the key
  Value value;
};

// Gathers everything that is wrong with a file, so that one run shows it all.
class Problems {
 public:
  explicit Problems(std::string_view file_name);

  void add(Position at, std::string_view what);
  [[nodiscard]] bool empty() const { return found_.empty(); }
  // Further ones are only counted.
  [[nodiscard]] bool full() const { return found_.size() >= kMost; }
  // `file:line:column: what` each, in the file's order.
  [[nodiscard]] std::vector<std::string> lines() const;
  [[nodiscard]] const std::string& file_name() const { return file_name_; }

  static constexpr std::size_t kMost = 100;

 private:
  struct Problem {
    Position at;
    std::string what;
  };
  std::string file_name_;
  std::vector<Problem> found_;
  std::size_t left_out_ = 0;
};

inline constexpr std::size_t kFileBytesMax = 1024 * 1024;
inline constexpr std::size_t kValuesMax = 20'000;
inline constexpr std::size_t kDepthMax = 16;

// Reads one YAML document. Nothing where it is no YAML, larger than the bounds
// above, or holds bytes that are no text (control bytes, broken UTF-8).
// Duplicate keys, keys that are no plain text, anchors, aliases and tags are
// problems too, but the rest is returned so that it can be looked at. An empty
// file is a kNull. Throws nothing. The only function that knows yaml-cpp.
[[nodiscard]] std::optional<Value> parse_yaml(std::string_view text,
                                              Problems& problems);

}  // namespace fealty::conf
