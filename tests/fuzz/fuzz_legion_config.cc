// Arbitrary bytes as a Legion member's configuration: no crash, each problem one line
// with its place, and what loads is dumped so that it loads again to the same.

#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "conf/legion_config.h"

namespace {

constexpr std::string_view kFile = "/etc/fealty/l.yaml";

// `/etc/fealty/l.yaml:12:3: text`, nothing else, and no byte that could confuse
// a terminal.
void check_line(std::string_view line) {
  FEALTY_CHECK(line.starts_with(kFile));
  line.remove_prefix(kFile.size());
  for (int part = 0; part < 2; ++part) {
    FEALTY_CHECK(line.size() > 2 && line[0] == ':');
    FEALTY_CHECK(line[1] >= '1' && line[1] <= '9');
    line.remove_prefix(1);
    while (!line.empty() && line[0] >= '0' && line[0] <= '9') {
      line.remove_prefix(1);
    }
  }
  FEALTY_CHECK(line.size() > 2 && line.starts_with(": "));
  for (const char c : line) {
    FEALTY_CHECK(std::isprint(static_cast<unsigned char>(c)) != 0);
  }
}

// Only the comments differ between a file and its dump.
std::string without_comments(const std::string& dump) {
  std::string out;
  for (std::size_t at = 0; at < dump.size();) {
    const std::size_t end = dump.find('\n', at);
    const std::string line = dump.substr(at, end - at);
    const std::size_t comment = line.rfind("# ");
    std::size_t kept = comment == line.npos ? line.size() : comment;
    while (kept > 0 && line[kept - 1] == ' ') --kept;
    out.append(line, 0, kept).append("\n");
    at = end + 1;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using fealty::conf::parse_legion_config;
  const std::string file(kFile);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = parse_legion_config(text, file);
  if (!first) {
    FEALTY_CHECK(!first.error().empty());
    for (const std::string& line : first.error()) check_line(line);
    return 0;
  }
  const auto again = parse_legion_config(first.value().dump, file);
  FEALTY_CHECK(again.has_value());
  FEALTY_CHECK(without_comments(again.value().dump) ==
               without_comments(first.value().dump));
  return 0;
}
