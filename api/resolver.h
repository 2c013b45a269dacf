#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/options.h"
#include "base/address.h"
#include "base/result.h"

namespace fealty::api {

enum class RecordType : std::uint8_t { kNs, kA, kAaaa, kTxt };

// Asks the DNS. Blocks until there is an answer or `deadline_ms` (of
// coarse_monotonic_ms) is over. Thread-safe.
class Resolver {
 public:
  virtual ~Resolver() = default;
  // The records' texts: names, numeric addresses, whole TXT records. Empty where
  // there are none; fails where nobody could say. `servers` are asked without
  // recursion; where there are none, the resolvers of the configuration with it.
  [[nodiscard]] virtual Result<std::vector<std::string>> ask(
      const std::string& name, RecordType type,
      const std::vector<Address>& servers, std::int64_t deadline_ms) const = 0;
};

// By c-ares, a channel for each question.
class CaresResolver final : public Resolver {
 public:
  explicit CaresResolver(std::vector<Address> resolvers)
      : resolvers_(std::move(resolvers)) {}
  [[nodiscard]] Result<std::vector<std::string>> ask(
      const std::string& name, RecordType type,
      const std::vector<Address>& servers,
      std::int64_t deadline_ms) const override;

 private:
  std::vector<Address> resolvers_;
};

}  // namespace fealty::api
