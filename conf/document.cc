#include "conf/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <set>
#include <sstream>
#include <utility>

#include "base/log.h"

namespace fealty::conf {
namespace {

Position position_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {1, 1};
  return {mark.line + 1, mark.column + 1};
}

// How many bytes the UTF-8 character at the head of `text` has; 0 where there
// is none (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned least = 0x80;
  unsigned most = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  if (first == 0xE0) least = 0xA0;
  if (first == 0xED) most = 0x9F;
  if (first == 0xF0) least = 0x90;
  if (first == 0xF4) most = 0x8F;
  if (length == 0 || byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

bool is_forbidden(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

// A message may quote the file: no byte of it may break the line or the
// terminal, and it stays short.
std::string one_line(std::string_view what) {
  constexpr std::size_t kMost = 1000;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : what.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      out.append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    } else {
      out += c;
    }
  }
  return what.size() > kMost ? out + "..." : out;
}

// yaml-cpp takes byte 4 for the end of the file and guesses at UTF-16 from
// NULs: such bytes are refused before it sees them.
bool is_text(std::string_view text, Problems& problems) {
  Position at{1, 1};
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0 || is_forbidden(text.front())) {
      problems.add(at, length == 0 ? "this is not UTF-8"
                                   : "a control byte does not belong here");
      return false;
    }
    at.column += static_cast<int>(length);
    if (text.front() == '\n') at = {at.line + 1, 1};
    text.remove_prefix(length);
  }
  return true;
}

// Turns yaml-cpp's events into a Value. Its own Node would forget duplicate
// keys and expand aliases.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(Problems& problems) : problems_(problems) {}

  [[nodiscard]] Value take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    finish(make(Value::Kind::kNull, mark, "", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.add(position_of(mark), "aliases are not taken here: "
                                     "write the value out");
    finish(make(Value::Kind::kNull, mark, "", 0));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& text) override {
    Value value = make(Value::Kind::kScalar, mark, tag, anchor);
    value.text = text;
    finish(std::move(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(Value::Kind::kList, mark, tag, anchor), mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(make(Value::Kind::kMap, mark, tag, anchor), mark);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or map whose end has not been seen.
  struct Open {
    Value value;
    std::optional<Entry> entry;       // a map's key that waits for its value
    bool keep_entry = false;
    std::set<std::string, std::less<>> keys;
  };

  Value make(Value::Kind kind, const YAML::Mark& mark, const std::string& tag,
             YAML::anchor_t anchor) {
    if (++count_ > kValuesMax) {
      throw YAML::ParserException(mark, "more than " +
                                            std::to_string(kValuesMax) +
                                            " values");
    }
    Value value;
    value.kind = kind;
    value.at = position_of(mark);
    if (anchor != 0) problems_.add(value.at, "anchors are not taken here");
    // "?" and "!" are yaml-cpp's marks of a plain and of a quoted value.
    if (!tag.empty() && tag != "?" && tag != "!") {
      problems_.add(value.at, "tags are not taken here");
    }
    return value;
  }

  void open(Value value, const YAML::Mark& mark) {
    if (open_.size() >= kDepthMax) {
      throw YAML::ParserException(mark, "nested more than " +
                                            std::to_string(kDepthMax) +
                                            " deep");
    }
    open_.emplace_back();
    open_.back().value = std::move(value);
  }

  void close() {
    Value value = std::move(open_.back().value);
    open_.pop_back();
    finish(std::move(value));
  }

  void finish(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& parent = open_.back();
    if (parent.value.kind == Value::Kind::kList) {
      parent.value.items.push_back(std::move(value));
    } else if (!parent.entry) {
      on_key(parent, std::move(value));
    } else {
      parent.entry->value = std::move(value);
      if (parent.keep_entry) {
        parent.value.entries.push_back(std::move(*parent.entry));
      }
      parent.entry.reset();
    }
  }

  void on_key(Open& map, Value key) {
    map.entry = Entry{std::move(key.text), key.at, {}};
    map.keep_entry = false;
    if (key.kind != Value::Kind::kScalar) {
      problems_.add(key.at, "a key must be plain text");
    } else if (!map.keys.insert(map.entry->key).second) {
      problems_.add(key.at, "the key '" + log::printable(map.entry->key) +
                                "' is here a second time");
    } else {
      map.keep_entry = true;
    }
  }

  Problems& problems_;
  Value root_;
  std::vector<Open> open_;
  std::size_t count_ = 0;
};

}  // namespace

Problems::Problems(std::string_view file_name) : file_name_(file_name) {
  // One problem is one line, whatever the file is called.
  std::replace_if(file_name_.begin(), file_name_.end(), is_forbidden, '?');
  std::replace(file_name_.begin(), file_name_.end(), '\n', '?');
}

void Problems::add(Position at, std::string_view what) {
  if (full()) {
    ++left_out_;
  } else {
    found_.push_back({at, one_line(what)});
  }
}

std::vector<std::string> Problems::lines() const {
  std::vector<Problem> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Problem& a, const Problem& b) {
                     return std::pair(a.at.line, a.at.column) <
                            std::pair(b.at.line, b.at.column);
                   });
  if (left_out_ > 0) {
    sorted.push_back({sorted.back().at, "and " + std::to_string(left_out_) +
                                            " more problems"});
  }
  std::vector<std::string> lines;
  for (const Problem& problem : sorted) {
    lines.push_back(file_name_ + ":" + std::to_string(problem.at.line) + ":" +
                    std::to_string(problem.at.column) + ": " + problem.what);
  }
  return lines;
}

std::optional<Value> parse_yaml(std::string_view text, Problems& problems) {
  if (text.size() > kFileBytesMax) {
    problems.add({1, 1}, "the file is larger than 1 MiB");
    return std::nullopt;
  }
  if (!is_text(text, problems)) return std::nullopt;
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    Builder builder(problems);
    if (!parser.HandleNextDocument(builder)) {
      return Value{Value::Kind::kNull, {1, 1}, {}, {}, {}};
    }
    Value root = builder.take();
    Builder second(problems);
    if (parser.HandleNextDocument(second)) {
      problems.add(second.take().at, "a second document; one is expected");
    }
    return root;
  } catch (const YAML::Exception& error) {
    problems.add(position_of(error.mark), "no valid YAML: " + error.msg);
  } catch (const std::exception& error) {
    problems.add({1, 1}, std::string("no valid YAML: ") + error.what());
  }
  return std::nullopt;
}

}  // namespace fealty::conf
