#include "api/json.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace fealty::api {
namespace {

// Length of the UTF-8 sequence that begins at `at`; 0 where there is none.
// Overlong forms, surrogates and what lies beyond U+10FFFF are none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0U) != 0x80U) return 0;
  }
  const unsigned second = byte(at + 1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
    return 0;
  }
  return length;
}

bool holds_nul(const Json& value) {
  if (value.is_string()) {
    return value.get_ref<const std::string&>().find('\0') != std::string::npos;
  }
  if (value.is_object()) {
    return std::any_of(value.items().begin(), value.items().end(),
                       [](const auto& item) {
                         return item.key().find('\0') != std::string::npos ||
                                holds_nul(item.value());
                       });
  }
  return value.is_array() &&
         std::any_of(value.begin(), value.end(), holds_nul);
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  const Error none{"the body is no JSON in UTF-8"};
  // The parser takes it for the end.
  if (text.find('\0') != text.npos) return none;
  bool too_deep = false;
  const auto bounded = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens = event == Json::parse_event_t::object_start ||
                       event == Json::parse_event_t::array_start;
    if (opens && depth >= kJsonDepthMax) too_deep = true;
    return !too_deep;
  };
  Json value = Json::parse(text, bounded, false);
  if (too_deep) return Error{"the JSON is nested too deeply"};
  if (value.is_discarded()) return none;
  if (holds_nul(value)) return Error{"the JSON holds a NUL character"};
  return value;
}

bool is_text(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = sequence_length(bytes, at);
    if (length == 0 || bytes[at] == '\0') return false;
    at += length;
  }
  return true;
}

std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void ListWriter::begin_object() {
  if (text_.back() == '}') text_ += ',';
  text_ += '{';
}

void ListWriter::add_key(std::string_view key) {
  if (text_.back() != '{') text_ += ',';
  text_.append("\"").append(key).append("\":");
}

void ListWriter::add_null(std::string_view key) {
  add_key(key);
  text_ += "null";
}

void ListWriter::add(std::string_view key, std::int64_t value) {
  add_key(key);
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  text_.append(digits.data(), end.ptr);
}

void ListWriter::add(std::string_view key, std::string_view value) {
  add_key(key);
  const bool is_plain = std::none_of(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
  });
  if (is_plain) {
    text_.append("\"").append(value).append("\"");
  } else {
    text_ += Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

void ListWriter::add(std::string_view key, const Json& value) {
  add_key(key);
  if (value.is_array() && value.empty()) {
    text_ += "[]";
    return;
  }
  text_ += value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ListWriter::take() {
  text_ += "]\n";
  return std::move(text_);
}

}  // namespace fealty::api
