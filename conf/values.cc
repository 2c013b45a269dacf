#include "conf/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>

#include "base/log.h"

namespace fealty::conf {
namespace {

constexpr std::size_t kPathBytesMax = 4095;
constexpr std::size_t kUserBytesMax = 32;
constexpr std::string_view kUnixPrefix = "unix:";

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
// Ascending; the first is a bare number's.
constexpr std::array<Unit, 4> kSizeUnits = {
    {{"", 1}, {"k", 1024}, {"m", 1024 * 1024}, {"g", 1024 * 1024 * 1024}}};
constexpr std::array<Unit, 4> kTimeUnits = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

std::optional<std::uint64_t> parse_digits(std::string_view text, int base) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc{} || stop != end) return {};
  return value;
}

// `12` and a unit of `units`, in the least unit; nothing where it is neither,
// or too large for 64 bits.
std::optional<std::uint64_t> parse_amount(std::string_view text,
                                          const std::array<Unit, 4>& units,
                                          std::string_view bare_unit) {
  const auto digits = static_cast<std::size_t>(
      std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
  const auto number = parse_digits(text.substr(0, digits), 10);
  if (!number) return {};
  std::string_view name = text.substr(digits);
  if (name.empty()) name = bare_unit;
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    if (*number > std::numeric_limits<std::uint64_t>::max() / unit.factor) {
      return {};
    }
    return *number * unit.factor;
  }
  return {};
}

// In the largest unit that leaves no rest.
std::string show_amount(std::uint64_t amount,
                        const std::array<Unit, 4>& units) {
  std::size_t i = units.size() - 1;
  while (i > 0 && (amount == 0 || amount % units[i].factor != 0)) --i;
  return std::to_string(amount / units[i].factor).append(units[i].name);
}

Error wrong(std::string_view text, std::string_view expected) {
  return Error{cited(text) + " is not " + std::string(expected)};
}

std::string between(std::string_view least, std::string_view most) {
  return std::string(least) + " to " + std::string(most);
}

// `path` from `folder` on, without "." and "..".
std::string resolve(const std::string& folder, std::string_view path) {
  return (std::filesystem::path(folder) / std::filesystem::path(path))
      .lexically_normal()
      .string();
}

// Edits between two short words, a swap of neighbours counting as one
// (Damerau's distance in its restricted form).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1,
                         above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

std::string yaml_quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.append(1, '\\').append(1, c);
    } else if (is_control(c)) {
      const auto byte = static_cast<unsigned char>(c);
      out.append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    } else {
      out += c;
    }
  }
  return out += '"';
}

std::string cited(std::string_view text) {
  return "'" + log::printable(text) + "'";
}

std::string_view nearest(std::string_view text,
                         const std::vector<std::string_view>& candidates) {
  constexpr std::size_t kLongest = 64;
  std::string_view best;
  if (text.size() > kLongest) return best;
  const std::string wanted = lower(text);
  std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const std::size_t edits = distance(wanted, lower(candidate));
    if (edits < best_distance && edits < candidate.size()) {
      best = candidate;
      best_distance = edits;
    }
  }
  return best;
}

Result<bool> BooleanFormat::parse(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return wrong(text, "true or false");
}
std::string BooleanFormat::show(bool value) { return value ? "true" : "false"; }

Result<std::uint64_t> IntegerFormat::parse(std::string_view text) const {
  const auto number = parse_digits(text, 10);
  if (!number || *number < least || *number > most) {
    return wrong(text, "a number from " + between(show(least), show(most)));
  }
  return *number;
}
std::string IntegerFormat::show(std::uint64_t value) {
  return std::to_string(value);
}

Result<unsigned> AutoCountFormat::parse(std::string_view text) const {
  if (text == "auto") return 0U;
  const auto number = parse_digits(text, 10);
  if (!number || *number < 1 || *number > most) {
    return wrong(text, "auto or a number from " + between("1", show(most)));
  }
  return static_cast<unsigned>(*number);
}
std::string AutoCountFormat::show(unsigned value) {
  return value == 0 ? "auto" : std::to_string(value);
}

Result<std::int64_t> DurationFormat::parse(std::string_view text) const {
  const auto amount = parse_amount(text, kTimeUnits, "s");
  if (!amount) return wrong(text, "a time such as 500ms, 10s, 5m or 2h");
  if (*amount < static_cast<std::uint64_t>(least_ms) ||
      *amount > static_cast<std::uint64_t>(most_ms)) {
    return wrong(text, "a time from " + between(show(least_ms), show(most_ms)));
  }
  return static_cast<std::int64_t>(*amount);
}
std::string DurationFormat::show(std::int64_t value_ms) {
  return show_amount(static_cast<std::uint64_t>(value_ms), kTimeUnits);
}

Result<std::int64_t> SecondsFormat::parse(std::string_view text) const {
  const DurationFormat format{least_s * 1000, most_s * 1000};
  const Result<std::int64_t> value_ms = format.parse(text);
  if (!value_ms) return value_ms.error();
  if (value_ms.value() % 1000 != 0) return wrong(text, "whole seconds");
  return value_ms.value() / 1000;
}
std::string SecondsFormat::show(std::int64_t value_s) {
  return DurationFormat::show(value_s * 1000);
}

Result<std::uint64_t> SizeFormat::parse(std::string_view text) const {
  constexpr auto kUnlimited = std::numeric_limits<std::uint64_t>::max();
  const std::string_view or_none = may_be_unlimited ? ", or unlimited" : "";
  if (may_be_unlimited && text == "unlimited") return kUnlimited;
  const auto amount = parse_amount(lower(text), kSizeUnits, "");
  if (!amount) {
    return wrong(text, std::string("a size in bytes such as 512, 64k, 16m or "
                                   "1g").append(or_none));
  }
  if (*amount < least || *amount > most) {
    return wrong(text, ("a size from " + between(show(least), show(most)))
                           .append(or_none));
  }
  return *amount;
}
std::string SizeFormat::show(std::uint64_t bytes) {
  if (bytes == std::numeric_limits<std::uint64_t>::max()) return "unlimited";
  return show_amount(bytes, kSizeUnits);
}

Result<std::optional<mode_t>> ModeFormat::parse(std::string_view text) {
  const auto bits = parse_digits(text, 8);
  if (!bits || *bits > 0777 || text.size() < 3 || text.size() > 4) {
    return wrong(text, "a file's mode in octal such as \"0660\"");
  }
  return std::optional(static_cast<mode_t>(*bits));
}
std::string ModeFormat::show(std::optional<mode_t> mode) {
  if (!mode) return "null";
  std::string digits = "\"0000\"";
  for (std::size_t i = 0; i < 3; ++i) {
    digits[4 - i] = static_cast<char>('0' + (*mode >> (3 * i) & 7U));
  }
  return digits;
}

Result<std::string> TextFormat::parse(std::string_view text) const {
  if (text.empty() && !may_be_empty) return Error{"it is empty"};
  if (text.size() > bytes_max) {
    return Error{"it has " + std::to_string(text.size()) +
                 " bytes, more than " + std::to_string(bytes_max)};
  }
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return wrong(text, "one line of text without control bytes");
  }
  return std::string(text);
}
std::string TextFormat::show(std::string_view text) {
  return yaml_quoted(text);
}

Result<std::string> UserFormat::parse(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
           c == '_' || c == '-' || c == '.';
  };
  if (text.empty() || text.size() > kUserBytesMax || text.front() == '-' ||
      !std::all_of(text.begin(), text.end(), allowed)) {
    return wrong(text, "a user's name or number");
  }
  return std::string(text);
}
std::string UserFormat::show(std::string_view user) {
  return yaml_quoted(user);
}

Result<std::string> PathFormat::parse(std::string_view text) const {
  Result<std::string> path = TextFormat{kPathBytesMax}.parse(text);
  if (!path) return path;
  std::string whole = resolve(folder, path.value());
  if (whole.size() > kPathBytesMax) return Error{"the path is too long"};
  return whole;
}
std::string PathFormat::show(std::string_view path) {
  return yaml_quoted(path);
}

Result<Address> AddressFormat::parse(std::string_view text) const {
  std::string whole(text);
  if (text.starts_with(kUnixPrefix)) {
    const std::string_view path = text.substr(kUnixPrefix.size());
    if (!path.starts_with('@')) {
      const Result<std::string> resolved = PathFormat{folder}.parse(path);
      if (!resolved) return resolved.error();
      whole = std::string(kUnixPrefix) + resolved.value();
    }
  }
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return wrong(text, "an address");
  }
  Result<Address> address = Address::parse(whole);
  if (address && address->is_ip() && address->port() == 0) {
    return wrong(text, "an address with a port from 1 to 65535");
  }
  return address;
}
std::string AddressFormat::show(const Address& address) {
  return yaml_quoted(address.to_string());
}

Result<std::size_t> WordFormat::parse(std::string_view text) const {
  const auto found = std::find(words.begin(), words.end(), text);
  const auto place = static_cast<std::size_t>(found - words.begin());
  if (found != words.end() && place < later) return place;
  std::string served;
  for (std::size_t i = 0; i < std::min(later, words.size()); ++i) {
    served.append(i == 0 ? "" : ", ").append(words[i]);
  }
  if (found != words.end()) {
    return Error{cited(text) + " is not available in this version (" + served +
                 " is)"};
  }
  const std::string_view near = nearest(text, words);
  Error error = wrong(text, "one of: " + served);
  if (!near.empty()) error.message += "; nearest: " + std::string(near);
  return error;
}
std::string WordFormat::show(std::size_t place) const {
  return std::string(words[place]);
}

}  // namespace fealty::conf
