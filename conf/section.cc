#include "conf/section.h"

#include <algorithm>

namespace fealty::conf {
namespace {

constexpr std::size_t kCommentColumn = 48;

// Values that ask for nothing.
bool is_nothing(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull: return true;
    case Value::Kind::kList: return value.items.empty();
    case Value::Kind::kMap: return value.entries.empty();
    case Value::Kind::kScalar:
      return value.text.empty() || value.text == "false" || value.text == "0";
  }
  return false;
}

}  // namespace

void Dump::begin(std::size_t depth, bool dash, std::string_view key) {
  text_.append(2 * (dash ? depth - 1 : depth), ' ');
  if (dash) text_ += "- ";
  text_.append(key).append(":");
}

void Dump::value(std::size_t depth, bool dash, std::string_view key,
                 std::string_view value, Position from) {
  const std::size_t start = text_.size();
  begin(depth, dash, key);
  text_.append(" ").append(value);
  const std::size_t width = text_.size() - start;
  text_.append(width < kCommentColumn ? kCommentColumn - width : 1, ' ');
  text_ += "# ";
  if (from.line == 0) {
    text_ += "default\n";
  } else {
    text_.append(file_name_).append(":").append(std::to_string(from.line));
    text_ += '\n';
  }
}

void Dump::open(std::size_t depth, bool dash, std::string_view key) {
  begin(depth, dash, key);
  text_ += '\n';
}

Section::Section(Report& report, const Value* map, Position at,
                 std::string path, std::size_t depth, bool is_item)
    : report_(report),
      map_(map),
      at_(at),
      path_(std::move(path)),
      depth_(depth),
      dash_(is_item) {
  if (!path_.empty()) path_ += '.';
}

const Entry* Section::entry(std::string_view key) {
  if (std::find(valid_.begin(), valid_.end(), key) == valid_.end()) {
    valid_.push_back(key);
  }
  if (map_ == nullptr) return nullptr;
  const auto& entries = map_->entries;
  const auto found = std::find_if(
      entries.begin(), entries.end(),
      [&](const Entry& candidate) { return candidate.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

const Value* Section::find(std::string_view key) {
  const Entry* found = entry(key);
  const bool is_there =
      found != nullptr && found->value.kind != Value::Kind::kNull;
  return is_there ? &found->value : nullptr;
}

const Value* Section::scalar_value(std::string_view key, bool null_is_unset) {
  const Entry* found = entry(key);
  if (found == nullptr) return nullptr;
  if (found->value.kind == Value::Kind::kScalar) return &found->value;
  if (found->value.kind != Value::Kind::kNull) {
    problem(found->value.at, key, "one value is expected here");
  } else if (!null_is_unset) {
    problem(found->at, key, "a value is missing");
  }
  return nullptr;
}

std::vector<const Value*> Section::items(std::string_view key, bool lone) {
  std::vector<const Value*> found;
  const Value* value = find(key);
  if (value == nullptr) return found;
  if (lone && value->kind == Value::Kind::kScalar) {
    found.push_back(value);
  } else if (value->kind != Value::Kind::kList) {
    problem(value->at, key, "a list is expected here");
  } else if (value->items.size() > kItemsMax) {
    problem(value->at, key, "the list has more than " +
                                std::to_string(kItemsMax) + " items");
  } else {
    for (const Value& item : value->items) found.push_back(&item);
  }
  return found;
}

Section Section::section(std::string_view key) {
  const Value* value = find(key);
  if (value != nullptr && value->kind != Value::Kind::kMap) {
    problem(value->at, key, "a map (key: value) is expected here");
    value = nullptr;
  }
  open_dump(key);
  return {report_, value, value == nullptr ? at_ : value->at,
          path_ + std::string(key), depth_ + 1};
}

void Section::unserved(std::string_view key) {
  const Entry* found = entry(key);
  if (found == nullptr) return;
  if (is_nothing(found->value)) return dump(key, "null");
  problem(found->value.at, key,
          "this is not available in this version; leave the key out");
}

void Section::finish() {
  if (map_ == nullptr) return;
  for (const Entry& entry : map_->entries) {
    if (std::find(valid_.begin(), valid_.end(), entry.key) != valid_.end()) {
      continue;
    }
    // What is only counted needs no advice.
    const std::string advice =
        report_.problems.full() ? "" : advice_for(entry.key);
    report_.problems.add(entry.at,
                         "unknown key " + cited(path_ + entry.key) + advice);
  }
}

std::string Section::advice_for(std::string_view unknown) const {
  const std::string_view near = nearest(unknown, valid_);
  if (!near.empty()) return "; nearest valid key: '" + std::string(near) + "'";
  std::string advice = "; valid here: ";
  for (const std::string_view key : valid_) {
    advice.append(key == valid_.front() ? "" : ", ").append(key);
  }
  return advice;
}

void Section::problem(Position at, std::string_view key,
                      std::string_view what) {
  report_.problems.add(at,
                       path_ + std::string(key) + ": " + std::string(what));
}

void Section::dump(std::string_view key, std::string_view value) {
  const Entry* from = entry(key);
  report_.dump.value(depth_, std::exchange(dash_, false), key, value,
                     from == nullptr ? Position{} : from->at);
}

void Section::open_dump(std::string_view key) {
  report_.dump.open(depth_, std::exchange(dash_, false), key);
}

}  // namespace fealty::conf
