#include "cli/client/visible.h"

#include <locale.h>
#include <wchar.h>
#include <wctype.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "base/log.h"

namespace fealty::cli {
namespace {

// The first character of a text that is not empty. `bytes` 1 without `valid`: a
// byte that is no UTF-8.
struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

Character first_of(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {lead};
  char32_t code = lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {lead};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || surrogate) return {lead};
  return {code, bytes, true};
}

// Characters that are not seen but change how others are.
bool is_format(char32_t code) {
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0xad, 0xad},     {0x61c, 0x61c},   {0x180e, 0x180e}, {0x200b, 0x200f},
      {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
      {0xe0000, 0xe0fff}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [code](const auto& range) {
                       return code >= range.first && code <= range.second;
                     });
}

// glibc's tables, whatever the user's locale is.
locale_t utf8() {
  static const locale_t locale =
      ::newlocale(LC_CTYPE_MASK, "C.UTF-8", static_cast<locale_t>(nullptr));
  return locale;
}

bool is_printable(char32_t code) {
  if (code < 0x80) return code >= 0x20 && code != 0x7f;
  if (code < 0xa0 || is_format(code)) return false;
  return utf8() == nullptr || ::iswprint_l(static_cast<wint_t>(code), utf8());
}

std::string escape_of(const Character& character) {
  switch (character.code) {
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: break;
  }
  const auto code = static_cast<std::uint32_t>(character.code);
  return character.valid && code >= 0x80 ? fmt::format("\\u{{{:x}}}", code)
                                         : fmt::format("\\x{:02x}", code);
}

}  // namespace

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_of(text);
    if (character.valid && character.code != '\\' &&
        is_printable(character.code)) {
      out += text.substr(0, character.bytes);
    } else {
      out += escape_of(character);
    }
    text.remove_prefix(character.bytes);
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character character = first_of(text);
    if (!character.valid) return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

std::size_t width_of(std::string_view text) {
  const locale_t before = utf8() ? ::uselocale(utf8()) : nullptr;
  std::size_t width = 0;
  while (!text.empty()) {
    const Character character = first_of(text);
    const int columns = ::wcwidth(static_cast<wchar_t>(character.code));
    width += columns < 0 ? 1 : static_cast<std::size_t>(columns);
    text.remove_prefix(character.bytes);
  }
  if (before != nullptr) ::uselocale(before);
  return width;
}

std::string padded(std::string text, std::size_t width) {
  const std::size_t has = width_of(text);
  if (has < width) text.append(width - has, ' ');
  return text;
}

std::string visible_json(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const Character character = first_of(json);
    const char32_t code = character.code;
    // Outside of strings there is nothing but ASCII.
    if (character.valid && (code >= 0x7f && !is_printable(code))) {
      const auto unit = [&](char32_t value) {
        out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(value));
      };
      if (code >= 0x10000) unit(0xd800 + ((code - 0x10000) >> 10));
      unit(code >= 0x10000 ? 0xdc00 + ((code - 0x10000) & 0x3ff) : code);
    } else {
      out += json.substr(0, character.bytes);
    }
    json.remove_prefix(character.bytes);
  }
  return out;
}

}  // namespace fealty::cli
