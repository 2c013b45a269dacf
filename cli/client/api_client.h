#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/address.h"
#include "base/result.h"
#include "cli/client/api_url.h"

namespace fealty::cli {

struct ApiRequest {
  std::string method = "GET";
  std::string path;              // below the base, with its query
  std::optional<std::string> body = {};
  std::string type = "application/json";
  std::string if_none_match = {};
};

struct ApiAnswer {
  int status = 0;
  std::string body;
  std::string etag;
  std::string location;
  std::string retry_after;
};

// Asks a REST API, a connection for each request; blocks. Certificates are always
// verified, against the system's CAs or `ca_file`. Redirects are not followed:
// they would take the password elsewhere.
//
// Whatever could not be delivered is tried again, and a POST whose answer was
// lost as well: an Idempotency-Key lets the API see that it is the same. A DELETE
// is not, and nothing is where `attempts` is 1.
class ApiClient {
 public:
  static constexpr std::size_t kAnswerBytesMax = std::size_t{16} << 20;

  struct Settings {
    // A customer's way in, or the administration's listener.
    std::variant<ApiUrl, Address> where;
    std::string user = {};       // "": no login
    std::string password = {};
    std::string ca_file = {};
    std::int64_t timeout_ms = 30'000;   // of an attempt, to its last byte
    int attempts = 3;
  };

  explicit ApiClient(Settings settings) : settings_(std::move(settings)) {}

  // Fails where there is no answer, saying why and what to look at.
  [[nodiscard]] Result<ApiAnswer> send(const ApiRequest& request) const;

  // Asks for a stream of events (text/event-stream), and hands on what comes
  // until `on_piece` says false, it ends, or `timeout_ms` pass without a byte. Is
  // not tried again. What is no stream is an answer as any other.
  using OnPiece = std::function<bool(std::string_view)>;
  [[nodiscard]] Result<ApiAnswer> listen(const std::string& path,
                                         const OnPiece& on_piece) const;

  [[nodiscard]] std::string where() const;

 private:
  Settings settings_;
};

}  // namespace fealty::cli
