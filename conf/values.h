#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace fealty::conf {

// How each kind of value is written in a configuration. A format's parse()
// reads the text of one scalar and its error says what would be right; show()
// writes a value as YAML that parse() reads back. All are pure and bounded.

// Text as a YAML scalar in double quotes.
[[nodiscard]] std::string yaml_quoted(std::string_view text);
// 'text' for a message: one line, printable, cut where it is long.
[[nodiscard]] std::string cited(std::string_view text);

// The candidate that needs the fewest edits (a swap of neighbours is one) to
// become `text`; empty where none takes at most two, or a third of it.
[[nodiscard]] std::string_view nearest(
    std::string_view text, const std::vector<std::string_view>& candidates);

// true, false
struct BooleanFormat {
  [[nodiscard]] static Result<bool> parse(std::string_view text);
  [[nodiscard]] static std::string show(bool value);
};

// 1024
struct IntegerFormat {
  std::uint64_t least;
  std::uint64_t most;
  [[nodiscard]] Result<std::uint64_t> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(std::uint64_t value);
};

// auto (0), or a number from 1
struct AutoCountFormat {
  unsigned most;
  [[nodiscard]] Result<unsigned> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(unsigned value);
};

// 500ms, 10s, 5m, 2h; a bare number is seconds
struct DurationFormat {
  std::int64_t least_ms;
  std::int64_t most_ms;
  [[nodiscard]] Result<std::int64_t> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(std::int64_t value_ms);
};

// The same in whole seconds
struct SecondsFormat {
  std::int64_t least_s;
  std::int64_t most_s;
  [[nodiscard]] Result<std::int64_t> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(std::int64_t value_s);
};

// 512, 64k, 16m, 1g (powers of 1024); `unlimited` (UINT64_MAX) where allowed
struct SizeFormat {
  std::uint64_t least;
  std::uint64_t most;
  bool may_be_unlimited = false;
  [[nodiscard]] Result<std::uint64_t> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(std::uint64_t bytes);
};

// "0666", a file's permissions in octal; null: not set
struct ModeFormat {
  static constexpr bool kNullIsUnset = true;
  [[nodiscard]] static Result<std::optional<mode_t>> parse(
      std::string_view text);
  [[nodiscard]] static std::string show(std::optional<mode_t> mode);
};

// One line of text
struct TextFormat {
  std::size_t bytes_max;
  bool may_be_empty = false;
  [[nodiscard]] Result<std::string> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(std::string_view text);
};

// The greatest uid: the next number means nobody.
inline constexpr std::uint64_t kUidMost = 4'294'967'294;

// A system user's name, or a numeric uid
struct UserFormat {
  [[nodiscard]] static Result<std::string> parse(std::string_view text);
  [[nodiscard]] static std::string show(std::string_view user);
};

// A path; a relative one is taken from `folder`
struct PathFormat {
  std::string folder;
  [[nodiscard]] Result<std::string> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(std::string_view path);
};

// What base/address.h reads, with a port that is not 0; "unix:run/x" is taken
// from `folder`
struct AddressFormat {
  std::string folder;
  [[nodiscard]] Result<Address> parse(std::string_view text) const;
  [[nodiscard]] static std::string show(const Address& address);
};

// What `format` reads, or null: not set
template <typename Format>
struct Nullable {
  static constexpr bool kNullIsUnset = true;
  Format format;
  [[nodiscard]] auto parse(std::string_view text) const {
    return format.parse(text);
  }
  template <typename T>
  [[nodiscard]] std::string show(const std::optional<T>& value) const {
    return value ? format.show(*value) : "null";
  }
};

// One word of a list; parse() gives its place in `words`. Words from `later`
// on are part of the documented file but not served yet, and are refused so.
struct WordFormat {
  std::vector<std::string_view> words;
  std::size_t later = SIZE_MAX;
  [[nodiscard]] Result<std::size_t> parse(std::string_view text) const;
  [[nodiscard]] std::string show(std::size_t place) const;
};

}  // namespace fealty::conf
