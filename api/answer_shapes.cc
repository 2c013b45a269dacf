#include "api/answer_shapes.h"

#include <string>
#include <utility>

namespace fealty::api {
namespace {

struct Named {
  std::string_view name;
  std::string_view json;
};

constexpr Named kNamed[] = {
    {"Message", R"({"message": "string"})"},
    {"Created", R"({"message": "string", "id": "integer"})"},
    {"ShownMe",
     R"({"email": "string", "vat": "string", "company": "string",
         "uuid": "string", "containers": ["integer"], "servers": ["string"]})"},
    {"ListedContainer",
     R"({"uid": "integer", "name": "string", "hostname": "string",
         "ip": "string", "memory": "integer", "storage": "integer",
         "uuid": "string", "distro": "integer?", "distro_name": "string?",
         "custom_distro": "integer?", "custom_distro_name": "string?",
         "server": "string", "server_address": "string", "tags": ["string"]})"},
    {"ShownContainer",
     R"({"and": ["$ListedContainer", {
         "jid": "string", "jid_destinations": "string",
         "pushover_user": "string", "pushover_token": "string",
         "pushover_sound": "string", "pushbullet_token": "string",
         "slack_webhook": "string", "alarm_freq": "integer",
         "quota_threshold": "integer", "nofollow": "boolean", "note": "string",
         "linked_to": ["integer"], "custom_distros_storage": "boolean",
         "secret_uuid": "string", "ssh_keys": ["string"],
         "legion_address": ["string"]}]})"},
    {"ShownTag", R"({"id": "integer", "name": "string", "note": "string"})"},
    {"ListedDomain",
     R"({"id": "integer", "name": "string", "uuid": "string",
         "tags": ["string"]})"},
    {"ShownDomain",
     R"({"and": ["$ListedDomain", {"note": "string"}]})"},
    {"ShownLoopbox",
     R"({"id": "integer", "container": "integer", "filename": "string",
         "mountpoint": "string", "ro": "boolean", "tags": ["string"],
         "message?": "string"})"},
    {"ListedCustomDistro",
     R"({"id": "integer", "name": "string", "container": "integer"})"},
    {"ShownCustomDistro",
     R"({"id": "integer", "container": "integer", "name": "string",
         "path": "string", "note": "string", "uuid": "string"})"},
    {"ShownAlarm",
     R"({"id": "integer", "container": "integer", "level": "integer",
         "color": "string", "class": "string", "vassal": "string",
         "line": "integer?", "filename": "string", "func": "string",
         "unix": "integer", "msg": "string"})"},
    {"AlarmKey", R"({"message": "string", "alarm_key": "string"})"},
    {"ShownPortmapping",
     R"({"id": "integer", "proto": "string", "public_port": "integer",
         "container": "integer", "container_ip": "string",
         "private_port": "integer", "message?": "string"})"},
    {"Nodes", R"({"unix": "integer", "nodes": ["string"]})"},
};

constexpr std::string_view kText = "text/plain";
constexpr std::string_view kStream = "text/event-stream";

constexpr AnswerShape kShapes[] = {
    {"GET", "/me", R"("$ShownMe")"},
    {"POST", "/me", R"("$ShownMe")"},
    {"GET", "/containers", R"(["$ListedContainer"])"},
    {"GET", "/me/containers", R"(["$ListedContainer"])"},
    {"POST", "/containers", R"({"message": "string", "uid": "integer"})", 201},
    {"GET", "/containers/{uid}", R"("$ShownContainer")"},
    {"POST", "/containers/{uid}", R"("$ShownContainer")"},
    {"GET", "/containers/{uid}/domains", R"(["$ListedDomain"])"},
    {"POST", "/regenerate_secret_uuid/{uid}",
     R"({"message": "string", "secret_uuid": "string"})"},
    {"GET", "/distros", R"([{"id": "integer", "name": "string"}])"},
    {"GET", "/custom_distros", R"(["$ListedCustomDistro"])"},
    {"GET", "/custom_distros/{uid}", R"(["$ListedCustomDistro"])"},
    {"POST", "/custom_distros/{uid}", R"("$ShownCustomDistro")", 201},
    {"GET", "/custom_distro/{id}", R"("$ShownCustomDistro")"},
    {"POST", "/custom_distro/{id}", R"("$ShownCustomDistro")"},
    {"DELETE", "/custom_distro/{id}", R"("$Message")"},
    {"GET", "/domains", R"(["$ListedDomain"])"},
    {"POST", "/domains", R"("$ShownDomain")", 201},
    {"DELETE", "/domains", R"("$Message")"},
    {"GET", "/domains/{id}", R"("$ShownDomain")"},
    {"POST", "/domains/{id}", R"("$ShownDomain")"},
    {"DELETE", "/domains/{id}", R"("$Message")"},
    {"GET", "/domains/{id}/containers", R"(["integer"])"},
    {"GET", "/tags", R"(["$ShownTag"])"},
    {"POST", "/tags", R"("$ShownTag")", 201},
    {"GET", "/tags/{id}", R"("$ShownTag")"},
    {"POST", "/tags/{id}", R"("$ShownTag")"},
    {"DELETE", "/tags/{id}", R"("$Message")"},
    {"GET", "/loopboxes", R"(["$ShownLoopbox"])"},
    {"POST", "/loopboxes", R"("$ShownLoopbox")", 201},
    {"GET", "/loopboxes/{id}", R"("$ShownLoopbox")"},
    {"POST", "/loopboxes/{id}", R"("$ShownLoopbox")"},
    {"DELETE", "/loopboxes/{id}", R"("$Message")"},
    {"GET", "/alarms",
     R"({"or": [["$ShownAlarm"],
                {"total": "integer", "alarms": ["$ShownAlarm"]}]})"},
    {"GET", "/alarms/{id}", R"("$ShownAlarm")"},
    {"DELETE", "/alarms/{id}", R"("$Message")"},
    {"POST", "/alarms/raise/{uid}", R"("$Created")", 201},
    {"POST", "/alarms/trigger/{uid}", R"("$Created")", 201},
    {"GET", "/alarm_key/{uid}", R"("$AlarmKey")"},
    {"POST", "/alarm_key/{uid}", R"("$AlarmKey")"},
    {"GET", "/portmappings/{address}", R"(["$ShownPortmapping"])"},
    {"POST", "/portmappings/{address}", R"("$ShownPortmapping")", 201},
    {"DELETE", "/portmappings/{address}", R"("$Message")"},
    {"GET", "/metrics/{name}/{id}",
     R"({"or": [[["integer"]],
                [{"container": "integer", "metrics": [["integer"]]}]]})"},
    {"GET", "/news", R"([{"content": "string", "date": "integer"}])"},
    {"GET", "/events", "", 200, kStream},
    {"GET", "/private/events", "", 200, kStream},
    {"GET", "/private/containers",
     R"([{"uid": "integer", "mtime": "integer", "ssh_keys_mtime": "integer"}])"},
    {"GET", "/private/containers/{uid}.ini", "", 200, kText},
    {"GET", "/private/containers/{uid}.json",
     R"({"and": ["$ShownContainer", {
         "customer": "string", "distro_path": "string",
         "custom_distro_path": "string?", "custom_distro_store": "integer?",
         "jid_secret": "string", "alarm_key": "string",
         "rsa_private": "string", "rsa_public": "string", "etc_hosts": "string",
         "etc_resolv_conf": "string", "mtime": "integer",
         "ssh_keys_mtime": "integer",
         "links": [{"uid": "integer", "ip": "string", "gateway": "string?"}],
         "rules": [{"direction": "string", "action": "string",
                    "target": "string", "src": "string", "src_mask": "integer",
                    "dst": "string", "dst_mask": "integer"}]}]})"},
    {"GET", "/private/ssh_keys/{uid}", "", 200, kText},
    {"GET", "/private/domains/rsa",
     R"([{"rsa": "string",
          "domains": [{"name": "string", "mtime": "integer"}]}])"},
    {"GET", "/private/legion/nodes", R"("$Nodes")"},
    {"GET", "/private/nodes", R"("$Nodes")"},
    {"GET", "/private/loopboxes",
     R"([{"id": "integer", "uid": "integer", "filename": "string",
          "mountpoint": "string", "ro": "boolean"}])"},
    {"GET", "/private/portmappings",
     R"([{"proto": "string", "public_port": "integer", "private_ip": "string",
          "private_port": "integer"}])"},
    {"GET", "/private/custom_services",
     R"([{"customer": "integer", "config": "string", "mtime": "integer",
          "id": "integer"}])"},
    {"GET", "/privileged/secret_uuids",
     R"([{"uid": "integer", "uuid": "string", "secret_uuid": "string"}])"},
    {"POST", "/private/metrics/{name}/{uid}", R"("$Message")", 201},
    {"POST", "/private/alarms/{uid}", R"("$Created")", 201},
    {"GET", "/private/serverfilemetadata",
     R"([{"filename": "string", "metadata": "string", "mtime": "integer"}])"},
    {"POST", "/private/serverfilemetadata", R"("$Message")", 201},
};

Json type_schema(std::string name) {
  if (name.starts_with('$')) {
    return {{"$ref", "#/components/schemas/" + name.substr(1)}};
  }
  if (!name.ends_with('?')) return {{"type", name}};
  name.pop_back();
  return {{"type", {name, "null"}}};
}

}  // namespace

std::span<const AnswerShape> answer_shapes() { return kShapes; }

Json shape_schema(const Json& shape) {
  if (shape.is_string()) return type_schema(shape.get<std::string>());
  if (shape.is_array()) {
    return {{"type", "array"}, {"items", shape_schema(shape.front())}};
  }
  for (const auto& [word, keyword] :
       {std::pair("or", "anyOf"), std::pair("and", "allOf")}) {
    const auto parts = shape.find(word);
    if (parts == shape.end()) continue;
    Json schemas = Json::array();
    for (const Json& part : *parts) schemas.push_back(shape_schema(part));
    return {{keyword, std::move(schemas)}};
  }
  Json properties = Json::object();
  Json required = Json::array();
  for (const auto& [key, value] : shape.items()) {
    std::string name = key;
    if (name.ends_with('?')) {
      name.pop_back();
    } else {
      required.push_back(name);
    }
    properties[name] = shape_schema(value);
  }
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)}};
}

Json named_shapes() {
  Json out = Json::object();
  for (const Named& named : kNamed) {
    out[std::string(named.name)] = shape_schema(Json::parse(named.json));
  }
  return out;
}

}  // namespace fealty::api
