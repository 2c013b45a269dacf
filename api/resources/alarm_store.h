#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "api/route.h"

namespace fealty::api {

struct NewAlarm {
  std::int64_t container = 0;
  std::int64_t level = 0;
  std::int64_t unix = 0;
  std::optional<std::int64_t> line = {};
  std::string color = "#ffffff";
  std::string class_name = {};
  std::string vassal = {};
  std::string filename = {};
  std::string func = {};
  std::string message = {};
};

inline constexpr std::int64_t kUnixMax = 253'402'300'799;   // the year 9999

// Keeps it; beyond limits.alarms of the container the oldest goes. Its id.
std::int64_t store_alarm(const Call& call, Transaction& transaction,
                         const NewAlarm& alarm);

// "#rrggbb" of it with or without its #; "" where it is none.
[[nodiscard]] std::string color_of(std::string text);

}  // namespace fealty::api
