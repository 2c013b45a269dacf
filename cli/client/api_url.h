#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::cli {

// Where a REST API is: https://host[:port][/path]. Without a path it is /api.
struct ApiUrl {
  bool tls = true;
  std::string host;              // an IPv6 address without brackets
  int port = 443;
  std::string base = "/api";     // no slash at its end

  [[nodiscard]] std::string origin() const;     // https://host:port
  [[nodiscard]] std::string to_string() const { return origin() + base; }
  // What is sent there does not leave this host.
  [[nodiscard]] bool is_loopback() const;

  bool operator==(const ApiUrl&) const = default;
};

// The error says what to write instead. A name or a password in it is refused:
// command lines are seen by others.
[[nodiscard]] Result<ApiUrl> read_api_url(std::string_view text);

}  // namespace fealty::cli
