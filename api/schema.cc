#include "api/schema.h"

#include <algorithm>

namespace fealty::api {
namespace {

Error wrong(const Field& field, const std::string& what) {
  return Error{std::string(field.name) + ": " + what};
}

bool is_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

// Code points, as JSON Schema counts. The parser has let UTF-8 alone pass.
std::int64_t characters_of(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  });
}

std::string range(const Field& field) {
  return std::to_string(field.least) + " to " + std::to_string(field.most);
}

Status check_text(const Field& field, const Json& value) {
  if (!value.is_string()) return wrong(field, "a string is expected");
  const std::string& text = value.get_ref<const std::string&>();
  const std::int64_t length = characters_of(text);
  if (length < field.least || length > field.most) {
    return wrong(field, "it must have " + range(field) + " characters");
  }
  if (field.type == Type::kLine && !is_line(text)) {
    return wrong(field, "it holds control characters");
  }
  if (field.fits != nullptr && !field.fits(text)) {
    return wrong(field, "it must be " + std::string(field.about));
  }
  return Ok{};
}

Status check_integer(const Field& field, const Json& value) {
  if (field.type == Type::kIntegerOrNull && value.is_null()) return Ok{};
  // What is beyond the signed ones is beyond every range.
  const bool fits =
      value.is_number_integer() &&
      !(value.is_number_unsigned() &&
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
  if (!fits || value.get<std::int64_t>() < field.least ||
      value.get<std::int64_t>() > field.most) {
    return wrong(field, "an integer is expected, " + range(field) +
                            (field.type == Type::kIntegerOrNull ? ", or null"
                                                                : ""));
  }
  return Ok{};
}

Status check_flag(const Field& field, const Json& value) {
  const bool is_flag =
      value.is_boolean() ||
      (value.is_number_integer() && (value == 0 || value == 1));
  if (!is_flag) return wrong(field, "true or false is expected");
  return Ok{};
}

Status check_list(const Field& field, const Json& value) {
  const bool of_lines = field.type == Type::kLines;
  if (!value.is_array() ||
      value.size() > static_cast<std::size_t>(field.most)) {
    return wrong(field, "a list of at most " + std::to_string(field.most) +
                            (of_lines ? " strings" : " objects") +
                            " is expected");
  }
  for (const Json& item : value) {
    if (!of_lines && !item.is_object()) {
      return wrong(field, "its items must be objects");
    }
    if (!of_lines) continue;
    if (!item.is_string() || item.get_ref<const std::string&>().empty() ||
        characters_of(item.get_ref<const std::string&>()) > kItemMax ||
        !is_line(item.get_ref<const std::string&>())) {
      return wrong(field, "its items must be strings of one line, with 1 to " +
                              std::to_string(kItemMax) + " characters");
    }
    if (field.fits != nullptr &&
        !field.fits(item.get_ref<const std::string&>())) {
      return wrong(field, "its items must be " + std::string(field.about));
    }
  }
  return Ok{};
}

Status check(const Field& field, const Json& value) {
  switch (field.type) {
    case Type::kText:
    case Type::kLine: return check_text(field, value);
    case Type::kInteger:
    case Type::kIntegerOrNull: return check_integer(field, value);
    case Type::kFlag: return check_flag(field, value);
    case Type::kLines:
    case Type::kObjects: return check_list(field, value);
  }
  return Ok{};
}

Json field_document(const Field& field) {
  Json out;
  switch (field.type) {
    case Type::kText:
    case Type::kLine:
      out = {{"type", "string"}, {"minLength", field.least},
             {"maxLength", field.most}};
      if (!field.pattern.empty()) out["pattern"] = field.pattern;
      break;
    case Type::kInteger:
      out = {{"type", "integer"}, {"minimum", field.least},
             {"maximum", field.most}};
      break;
    case Type::kIntegerOrNull:
      out = {{"type", {"integer", "null"}}, {"minimum", field.least},
             {"maximum", field.most}};
      break;
    case Type::kFlag:
      out = {{"type", {"boolean", "integer"}}, {"enum", {true, false, 1, 0}}};
      break;
    case Type::kLines:
      out = {{"type", "array"}, {"maxItems", field.most},
             {"items",
              {{"type", "string"}, {"minLength", 1}, {"maxLength", kItemMax}}}};
      break;
    case Type::kObjects:
      out = {{"type", "array"}, {"maxItems", field.most},
             {"items", {{"type", "object"}}}};
      break;
  }
  out["description"] = field.about;
  return out;
}

}  // namespace

Schema all_optional(Schema schema, std::string_view name) {
  schema.name = name;
  for (Field& field : schema.fields) field.required = false;
  return schema;
}

Status validate(const Schema& schema, const Json& body) {
  if (!body.is_object()) return Error{"the body must be a JSON object"};
  for (const Field& field : schema.fields) {
    const auto found = body.find(field.name);
    if (found == body.end()) continue;
    Status status = check(field, *found);
    if (!status) return status;
  }
  return Ok{};
}

std::string_view missing_key(const Schema& schema, const Json& body) {
  for (const Field& field : schema.fields) {
    if (field.required && !body.contains(field.name)) return field.name;
  }
  return {};
}

Json schema_document(const Schema& schema) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field& field : schema.fields) {
    properties[std::string(field.name)] = field_document(field);
    if (field.required) required.push_back(field.name);
  }
  Json out = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

Value stored(const Json& value) {
  if (value.is_null()) return nullptr;
  if (value.is_boolean()) return std::int64_t{value.get<bool>() ? 1 : 0};
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_string()) return value.get<std::string>();
  return value.dump();
}

Fields stored_fields(const Json& body,
                     std::initializer_list<std::string_view> keys) {
  Fields fields;
  for (const std::string_view key : keys) {
    const auto found = body.find(key);
    if (found != body.end()) fields.emplace_back(key, stored(*found));
  }
  return fields;
}

std::string text_of(const Json& body, std::string_view key,
                    std::string_view otherwise) {
  const auto found = body.find(key);
  return std::string(found == body.end() ? otherwise
                                         : found->get<std::string_view>());
}

std::int64_t integer_of(const Json& body, std::string_view key,
                        std::int64_t otherwise) {
  const auto found = body.find(key);
  return found == body.end() || found->is_null() ? otherwise
                                                 : found->get<std::int64_t>();
}

bool flag_of(const Json& body, std::string_view key) {
  const auto found = body.find(key);
  return found != body.end() &&
         (found->is_boolean() ? found->get<bool>() : *found != 0);
}

}  // namespace fealty::api
