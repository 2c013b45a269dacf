#include "million.h"

#include <unistd.h>

#include <cstdio>
#include <map>

#include "base/check.h"

namespace fealty::bench {
namespace {

// How many changes come between two snapshots while the table fills.
constexpr std::size_t kBatch = 1000;

std::size_t resident_bytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "re");
  FEALTY_CHECK(file != nullptr);
  std::size_t pages = 0;
  FEALTY_CHECK(std::fscanf(file, "%*u %zu", &pages) == 1);
  std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct Made {
  std::unique_ptr<Routes> routes;
  double bytes_per_key = 0;
};

Made& made_of(std::size_t keys) {
  static std::map<std::size_t, Made> all;
  Made& made = all[keys];
  if (made.routes == nullptr) {
    const std::size_t before = resident_bytes();
    made.routes = std::make_unique<Routes>(keys);
    made.bytes_per_key = static_cast<double>(resident_bytes() - before) /
                         static_cast<double>(keys);
  }
  return made;
}

}  // namespace

Routes::Routes(std::size_t keys) {
  for (std::size_t i = 0; i < keys; ++i) {
    FEALTY_CHECK(table.apply(announcement_of(i), {}));
    if (i % kBatch == kBatch - 1) snapshot = table.build();
  }
  subscription::Announcement wildcard = announcement_of(0);
  wildcard.key = ".wild.example.net";
  FEALTY_CHECK(table.apply(wildcard, {}));
  do {
    snapshot = table.build();
  } while (table.dirty());
}

Routes& routes_of(std::size_t keys) { return *made_of(keys).routes; }

double bytes_per_key(std::size_t keys) { return made_of(keys).bytes_per_key; }

}  // namespace fealty::bench
