#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "conf/document.h"
#include "conf/values.h"

namespace fealty::conf {

// The text of --dump-config: YAML that reads back to the same configuration,
// with a comment behind each value that says where it came from.
class Dump {
 public:
  explicit Dump(std::string_view file_name) : file_name_(file_name) {}

  // `value` is YAML already. `depth` counts steps of two spaces; `dash` makes
  // the line the first of a list's item.
  void value(std::size_t depth, bool dash, std::string_view key,
             std::string_view value, Position from);
  void open(std::size_t depth, bool dash, std::string_view key);
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void begin(std::size_t depth, bool dash, std::string_view key);

  std::string file_name_;
  std::string text_;
};

// Where a whole file's problems and its dump go.
struct Report {
  Problems& problems;
  Dump& dump;
};

// Typed access to the keys of one YAML map, or to the defaults of an absent
// one. Each key that is asked for becomes a valid key and a line of the dump;
// finish() then refuses all others. Thus the code that fills the options is the
// only list of keys, values and defaults. A problem leaves the default in
// place, and reading goes on. Lives as long as the Value and the Report.
class Section {
 public:
  // `map` null: absent. `path` names the section in messages, "" the root.
  // Keys are kept as views: they must outlive the section.
  Section(Report& report, const Value* map, Position at, std::string path,
          std::size_t depth, bool is_item = false);

  // The value of `key` if it is there and not null; the key is valid then.
  [[nodiscard]] const Value* find(std::string_view key);

  // One scalar. Absent: `out` keeps its default. The value, if one was taken.
  template <typename T, typename Format>
  const Value* scalar(std::string_view key, T& out, const Format& format);
  // Like it, without a default.
  template <typename T, typename Format>
  const Value* required(std::string_view key, T& out, const Format& format);

  // The map `key`; all defaults if it is absent or null.
  [[nodiscard]] Section section(std::string_view key);
  // The list `key`: `each(const Value&)` reads an item and returns its text
  // for the dump. A lone scalar is a list of one. True if the list is there.
  template <typename Each>
  bool scalars(std::string_view key, std::string_view default_text, Each each);
  // The list `key` of maps: `each(Section&)` reads one.
  template <typename Each>
  void maps(std::string_view key, Each each);

  // A part of the documented file that is not served yet: a value that asks
  // for nothing is taken, any other is refused.
  void unserved(std::string_view key);

  // Refuses the keys that nobody asked for, naming the nearest valid one.
  void finish();

  void problem(Position at, std::string_view key, std::string_view what);
  // A line of the dump, `value` as YAML; where it came from is looked up.
  void dump(std::string_view key, std::string_view value);
  // Where to point for something that is missing.
  [[nodiscard]] Position at() const { return at_; }

  static constexpr std::size_t kItemsMax = 1024;

 private:
  [[nodiscard]] const Entry* entry(std::string_view key);
  // The scalar's Value; null where it is absent or no scalar (a problem).
  [[nodiscard]] const Value* scalar_value(std::string_view key,
                                          bool null_is_unset);
  // The list's items, bounded; a lone scalar too if `lone`.
  [[nodiscard]] std::vector<const Value*> items(std::string_view key,
                                                bool lone);
  void open_dump(std::string_view key);
  [[nodiscard]] std::string advice_for(std::string_view unknown) const;

  Report& report_;
  const Value* map_;
  Position at_;
  std::string path_;
  std::size_t depth_;
  bool dash_;                             // the next line begins a list's item
  std::vector<std::string_view> valid_;
};

namespace detail {
template <typename Format>
concept NullIsUnset = requires { requires Format::kNullIsUnset; };
}  // namespace detail

template <typename T, typename Format>
const Value* Section::scalar(std::string_view key, T& out,
                             const Format& format) {
  const Value* value = scalar_value(key, detail::NullIsUnset<Format>);
  if (value != nullptr) {
    auto parsed = format.parse(value->text);
    if (parsed) {
      out = static_cast<T>(*std::move(parsed));
    } else {
      problem(value->at, key, parsed.error().message);
      value = nullptr;
    }
  }
  dump(key, format.show(out));
  return value;
}

template <typename T, typename Format>
const Value* Section::required(std::string_view key, T& out,
                               const Format& format) {
  const Value* value = scalar(key, out, format);
  if (value == nullptr && entry(key) == nullptr) {
    problem(at_, key, "this key is needed here");
  }
  return value;
}

template <typename Each>
bool Section::scalars(std::string_view key, std::string_view default_text,
                      Each each) {
  const Value* list = find(key);
  std::string text;
  for (const Value* item : items(key, true)) {
    if (item->kind != Value::Kind::kScalar) {
      problem(item->at, key, "one value is expected here");
    } else {
      text.append(text.empty() ? "" : ", ").append(each(*item));
    }
  }
  dump(key, list == nullptr ? std::string(default_text) : "[" + text + "]");
  return list != nullptr;
}

template <typename Each>
void Section::maps(std::string_view key, Each each) {
  const std::vector<const Value*> found = items(key, false);
  if (found.empty()) return dump(key, "[]");
  open_dump(key);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string place =
        path_ + std::string(key) + "[" + std::to_string(i) + "]";
    if (found[i]->kind != Value::Kind::kMap) {
      report_.problems.add(
          found[i]->at, place + ": a map such as {address: ...} is expected");
      continue;
    }
    Section item(report_, found[i], found[i]->at, place, depth_ + 2, true);
    each(item);
    item.finish();
  }
}

}  // namespace fealty::conf
