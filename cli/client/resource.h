#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fealty::cli {

// The API's resources as the command line shows and changes them: the one list
// that commands, tables, KEY=VALUE and completion go by.

enum class KeyKind : std::uint8_t {
  kText,
  kNumber,
  kNumberOrNone,
  kFlag,             // yes or no
  kWords,            // a,b,c
  kLines,            // may be given several times
  kContainer,        // a uid, or a container's name
  kDistro,           // an id, a name, or none
  kCustomDistro,
  kSecret,           // @FILE, or ? to be asked; never on the command line
  kNodes,            // server:weight,...
};

// A key of a request's object.
struct Setting {
  std::string_view name;
  KeyKind kind = KeyKind::kText;
  // In the object, where that differs.
  std::string_view json = {};
  // No KEY=VALUE: only where a command has a parameter for it.
  bool is_parameter = false;

  [[nodiscard]] std::string_view where() const {
    return json.empty() ? name : json;
  }
};

struct Column {
  std::string_view key;
  std::string_view title;
  bool is_time = false;          // seconds since 1970
};

struct Resource {
  std::string_view name;         // of one, for messages
  std::string_view path;         // of all
  std::string_view item;         // of one, before its id
  // What an object may be called by, beside its id.
  std::string_view called = {};
  std::string_view id = "id";
  std::vector<Column> columns;
  std::vector<Setting> keys;
};

[[nodiscard]] const Resource& containers();
[[nodiscard]] const Resource& domains();
[[nodiscard]] const Resource& tags();
[[nodiscard]] const Resource& loopboxes();
[[nodiscard]] const Resource& alarms();
[[nodiscard]] const Resource& distros();
[[nodiscard]] const Resource& custom_distros();
[[nodiscard]] const Resource& news();
[[nodiscard]] const Resource& me();
[[nodiscard]] const Resource& portmappings();

// What is measured, of containers and of domains.
inline constexpr std::array<std::string_view, 9> kContainerMetrics = {
    "io.read", "io.write", "net.rx",    "net.tx", "cpu",
    "mem",     "mem.rss",  "mem.cache", "quota"};
inline constexpr std::array<std::string_view, 3> kDomainMetrics = {
    "net.rx", "net.tx", "hits"};

// What the operator has, by the name on the command line.
struct AdminResource {
  std::string_view name;
  std::string_view about;
  Resource resource;
};
[[nodiscard]] std::span<const AdminResource> admin_resources();

}  // namespace fealty::cli
