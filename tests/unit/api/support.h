#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/clock.h"

namespace fealty::api {

// A folder of a test's own, gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fealty-api-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return now_ms; }
  [[nodiscard]] std::int64_t unix_s() const override {
    return 1'700'000'000 + now_ms / 1000;
  }
  std::int64_t now_ms = 1'000'000;
};

}  // namespace fealty::api
