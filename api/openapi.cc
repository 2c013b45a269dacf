#include "api/openapi.h"

#include <algorithm>
#include <array>

#include "api/answer_shapes.h"
#include "base/version.h"

namespace fealty::api {
namespace {

// Keys of queries.
constexpr std::array<std::string_view, 10> kNumbers = {
    "after", "container", "day", "level", "limit",
    "line",  "month",     "since", "unix", "year"};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return out;
}

// Null: none is known.
const AnswerShape* shape_of(const Route& route) {
  const auto shapes = answer_shapes();
  const auto found =
      std::find_if(shapes.begin(), shapes.end(), [&](const AnswerShape& shape) {
        return shape.method == route.method && shape.pattern == route.pattern;
      });
  return found == shapes.end() ? nullptr : &*found;
}

Json response_of(const AnswerShape& shape) {
  const Json schema = shape.json.empty() ? Json{{"type", "string"}}
                                         : shape_schema(Json::parse(shape.json));
  return {{"description", "done"},
          {"content", {{std::string(shape.type), {{"schema", schema}}}}}};
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    parts.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return parts;
}

Json header_parameter(std::string_view name, std::string_view about) {
  return {{"name", name},
          {"in", "header"},
          {"required", false},
          {"description", about},
          {"schema", {{"type", "string"}, {"minLength", 1}}}};
}

Json parameters_of(const Route& route) {
  Json out = Json::array();
  const std::string_view pattern = route.pattern;
  for (std::size_t at = pattern.find('{'); at != pattern.npos;
       at = pattern.find('{', at + 1)) {
    const std::string name(pattern.substr(at + 1, pattern.find('}', at) - at - 1));
    const bool is_number = name == "id" || name == "uid";
    out.push_back({{"name", name},
                   {"in", "path"},
                   {"required", true},
                   {"schema", {{"type", is_number ? "integer" : "string"}}}});
  }
  for (const std::string& name : split(route.query)) {
    const bool is_number =
        std::find(kNumbers.begin(), kNumbers.end(), name) != kNumbers.end();
    out.push_back({{"name", name},
                   {"in", "query"},
                   {"required", false},
                   {"schema", {{"type", is_number ? "integer" : "string"}}}});
  }
  const AnswerShape* const shape = shape_of(route);
  if (route.method == "POST") {
    out.push_back(header_parameter(
        "Idempotency-Key", "what makes it count once, however often it is sent"));
    out.back()["schema"]["maxLength"] = 255;
  } else if (shape != nullptr && shape->type == "text/event-stream") {
    out.push_back(header_parameter("Last-Event-ID", "what was heard last"));
  } else if (route.method == "GET") {
    out.push_back(header_parameter("If-None-Match", "the ETag that is had: 304"));
  }
  return out;
}

Json security_of(Access access) {
  const Json login = {{{"basic", Json::array()}},
                      {{"username", Json::array()}, {"password", Json::array()}}};
  switch (access) {
    case Access::kCustomer: return login;
    case Access::kAlarmKey: {
      Json out = login;
      out.push_back({{"key", Json::array()}});
      return out;
    }
    case Access::kAnyone: {
      Json out = login;
      out.push_back(Json::object());
      return out;
    }
    case Access::kServer: return {{{"certificate", Json::array()}}};
    default: return Json::array();
  }
}

Json operation_of(const Route& route) {
  Json out = {{"summary", route.summary},
              {"parameters", parameters_of(route)},
              {"security", security_of(route.access)}};
  if (route.takes_text) {
    out["requestBody"] = {
        {"content", {{"text/plain", {{"schema", {{"type", "string"}}}}}}}};
  }
  if (route.schema != nullptr) {
    out["requestBody"] = {
        {"required", true},
        {"content",
         {{"application/json",
           {{"schema",
             {{"$ref", "#/components/schemas/" +
                           std::string(route.schema->name)}}}}}}}};
  }
  Json responses = {{"default",
                     {{"description", "refused: {error, reason}"},
                      {"content",
                       {{"application/json",
                         {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}}}};
  if (const AnswerShape* const shape = shape_of(route)) {
    responses[std::to_string(shape->status)] = response_of(*shape);
  }
  out["responses"] = std::move(responses);
  return out;
}

Json security_schemes() {
  const auto header = [](const char* name) {
    return Json{{"type", "apiKey"}, {"in", "header"}, {"name", name}};
  };
  return {{"basic", {{"type", "http"}, {"scheme", "basic"}}},
          {"username", header("X-uwsgi-it-username")},
          {"password", header("X-uwsgi-it-password")},
          {"key", {{"type", "apiKey"}, {"in", "query"}, {"name", "key"}}},
          {"certificate", {{"type", "mutualTLS"}}}};
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string_view access_text(Access access) {
  switch (access) {
    case Access::kAnyone: return "anyone";
    case Access::kCustomer: return "customer";
    case Access::kAlarmKey: return "customer, or ?key=";
    case Access::kServer: return "server (certificate)";
    case Access::kPrivileged: return "listed address";
    case Access::kAdmin: return "admin";
  }
  return "";
}

void add_section(std::string& page, const Route& route) {
  page += "<section><h2><code>" + std::string(route.method) + " /api" +
          escaped(route.pattern) + "</code></h2><p>" + escaped(route.summary) +
          ". <em>" + escaped(access_text(route.access)) + "</em></p>";
  if (!route.query.empty()) {
    page += "<p>Query: <code>" + escaped(route.query) + "</code></p>";
  }
  if (route.schema != nullptr) {
    page += "<table>";
    for (const Field& field : route.schema->fields) {
      page += "<tr><td><code>" + escaped(field.name) + "</code></td><td>" +
              (field.required ? "needed" : "") + "</td><td>" +
              escaped(field.about) + "</td></tr>";
    }
    page += "</table>";
  }
  page += "</section>\n";
}

}  // namespace

Answer openapi_document(const Routes& routes) {
  Json paths = Json::object();
  Json schemas = named_shapes();
  schemas["Error"] =
      shape_schema({{"error", "string"}, {"reason?", "string"}});
  for (const Route& route : routes) {
    if (route.access == Access::kAdmin) continue;
    paths[std::string(route.pattern)][lower(route.method)] = operation_of(route);
    if (route.schema != nullptr) {
      schemas[std::string(route.schema->name)] = schema_document(*route.schema);
    }
  }
  Answer answer;
  answer.text = json_line({{"openapi", "3.1.0"},
                           {"info", {{"title", "Fealty"}, {"version", kVersion}}},
                           {"servers", Json::array({{{"url", "/api"}}})},
                           {"paths", std::move(paths)},
                           {"components",
                            {{"schemas", std::move(schemas)},
                             {"securitySchemes", security_schemes()}}}});
  return answer;
}

Answer documentation_page(const Routes& routes) {
  Answer answer;
  answer.type = "text/html; charset=utf-8";
  answer.headers["Content-Security-Policy"] =
      "default-src 'none'; style-src 'unsafe-inline'";
  answer.text =
      "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\">"
      "<title>Fealty API</title><style>body{font:16px sans-serif;max-width:60em;"
      "margin:2em auto;padding:0 1em}h2{font-size:1em;margin:1.5em 0 0}"
      "td{padding:0 1em 0 0;vertical-align:top}</style><h1>Fealty API</h1>"
      "<p>JSON in and out, HTTP Basic. For programs: "
      "<a href=\"/api/openapi.json\">openapi.json</a></p>\n";
  for (const Route& route : routes) {
    if (route.access != Access::kAdmin) add_section(answer.text, route);
  }
  answer.text += "</html>\n";
  return answer;
}

}  // namespace fealty::api
