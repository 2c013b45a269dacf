#include "cli/client/settings.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "cli/client/visible.h"
#include "cli/files.h"

namespace fealty::cli {
namespace {

std::string dashed(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

Problem wrong(const Setting& key, const std::string& value,
              const char* expected) {
  return wrong_usage(std::string(key.name) + "=" + visible(value) + ": " +
                     expected + " is expected");
}

std::optional<std::int64_t> number_in(const std::string& text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
  return value;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// A file's lines, or the value itself, without what is empty or a comment.
Json list_of_lines(const std::string& text) {
  Json list = Json::array();
  for (std::string line : split(text, '\n')) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && line.front() != '#') list.push_back(std::move(line));
  }
  return list;
}

Result<Json, Problem> read_flag(const Setting& key, const std::string& text) {
  for (const char* const yes : {"yes", "true", "on", "1"}) {
    if (text == yes) return Json(true);
  }
  for (const char* const no : {"no", "false", "off", "0"}) {
    if (text == no) return Json(false);
  }
  return wrong(key, text, "yes or no");
}

Result<Json, Problem> read_nodes(const Setting& key, const std::string& text) {
  Json out = Json::array();
  for (const std::string& part : split(text, ',')) {
    const std::size_t colon = part.find(':');
    Json node = {{"server", part.substr(0, colon)}};
    if (colon != part.npos) {
      const auto weight = number_in(part.substr(colon + 1));
      if (!weight) return wrong(key, part, "SERVER or SERVER:WEIGHT");
      node["weight"] = *weight;
    }
    out.push_back(std::move(node));
  }
  return out;
}

Result<Json, Problem> read_value(const Setting& key, const std::string& text,
                                 const SettingHelp& help) {
  const bool may_be_none = key.kind == KeyKind::kDistro ||
                           key.kind == KeyKind::kCustomDistro ||
                           key.kind == KeyKind::kNumberOrNone;
  if (may_be_none && text == "none") return Json(nullptr);
  switch (key.kind) {
    case KeyKind::kFlag: return read_flag(key, text);
    case KeyKind::kWords:
      return text == "none" ? Json::array() : Json(split(text, ','));
    case KeyKind::kNodes: return read_nodes(key, text);
    case KeyKind::kNumber:
    case KeyKind::kNumberOrNone: {
      const auto number = number_in(text);
      if (!number) return wrong(key, text, "a number");
      return Json(*number);
    }
    case KeyKind::kContainer:
    case KeyKind::kDistro:
    case KeyKind::kCustomDistro: {
      if (text.empty()) {
        return wrong(key, text, may_be_none ? "a number, a name or none"
                                            : "a number or a name");
      }
      if (const auto number = number_in(text)) return Json(*number);
      const auto found = help.number_of(key.kind, text);
      if (!found) return found.error();
      return Json(*found);
    }
    default: return Json(text);
  }
}

// The value itself, or what stands in the file that it names.
Result<std::string, Problem> contents_of(const Setting& key,
                                         const std::string& value,
                                         const SettingHelp& help) {
  const bool is_secret = key.kind == KeyKind::kSecret;
  if (is_secret && value == "?") return help.ask(std::string(key.name));
  if (value.starts_with("@@") && !is_secret) return value.substr(1);
  if (!value.starts_with('@')) {
    if (!is_secret || value.empty()) return value;
    return wrong_usage(std::string(key.name) +
                       ": others can read a command line; give " +
                       std::string(key.name) + "=@FILE, or " +
                       std::string(key.name) + "=? to be asked");
  }
  std::string path = value.substr(1);
  if (path.starts_with("~/") && std::getenv("HOME") != nullptr) {
    path = std::getenv("HOME") + path.substr(1);
  }
  auto text = is_secret ? read_own_file(path) : read_file(path);
  if (!text) return Problem(text.error());
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  return *std::move(text);
}

}  // namespace

const Setting* find_key(std::span<const Setting> keys, std::string_view name) {
  const auto at = std::find_if(keys.begin(), keys.end(), [&](const Setting& key) {
    return key.name == dashed(name);
  });
  return at == keys.end() ? nullptr : &*at;
}

std::vector<std::string> setting_names(std::span<const Setting> keys) {
  std::vector<std::string> out;
  for (const Setting& key : keys) {
    if (!key.is_parameter) out.emplace_back(key.name);
  }
  return out;
}

Done put_setting(Json& object, const Setting& key, const std::string& value,
                 const SettingHelp& help) {
  const auto text = contents_of(key, value, help);
  return text ? put_text(object, key, *text, help) : Done(text.error());
}

Done put_text(Json& object, const Setting& key, const std::string& text,
              const SettingHelp& help) {
  if (!is_utf8(text)) {
    return wrong_usage(std::string(key.name) + ": this is no UTF-8");
  }
  if (key.kind != KeyKind::kSecret &&
      text.find("PRIVATE KEY-----") != text.npos) {
    return wrong_usage(std::string(key.name) +
                       ": this is a private key, which nobody else is to have; "
                       "the public one (FILE.pub) is wanted");
  }
  Json& place = object[std::string(key.where())];
  if (key.kind == KeyKind::kLines) {
    if (place.is_null()) place = Json::array();
    if (text == "none") return Ok{};
    const Json lines = list_of_lines(text);
    if (lines.empty()) {
      return wrong(key, "", "a line, a file that holds some, or none");
    }
    place.insert(place.end(), lines.begin(), lines.end());
    return Ok{};
  }
  auto read = read_value(key, text, help);
  if (!read) return read.error();
  place = *std::move(read);
  return Ok{};
}

Result<Json, Problem> read_settings(std::span<const Setting> keys,
                                    std::span<const std::string> words,
                                    const SettingHelp& help) {
  Json object = Json::object();
  std::set<const Setting*> given;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const Setting* const key = find_key(keys, word.substr(0, equals));
    if (equals == word.npos || key == nullptr || key->is_parameter) {
      std::string names;
      for (const std::string& name : setting_names(keys)) names += " " + name;
      return wrong_usage(visible(word) +
                         ": KEY=VALUE is expected, and KEY is one of" + names);
    }
    if (!given.insert(key).second && key->kind != KeyKind::kLines) {
      return wrong_usage(std::string(key->name) + " is given twice");
    }
    if (Done put = put_setting(object, *key, word.substr(equals + 1), help);
        !put) {
      return put.error();
    }
  }
  return object;
}

}  // namespace fealty::cli
