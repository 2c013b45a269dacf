#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fealty::router {

// What the router itself answers: a short page that names the status, a reason
// for the client and a request id to look up in the log; nothing of the
// platform's inside.
struct ErrorPage {
  int status = 500;
  std::string_view reason;         // a sentence, plain text
  std::uint64_t request_id = 0;
  bool keep_alive = false;
  bool head_only = false;          // answers HEAD
};

inline constexpr std::size_t kErrorPageBytesMax = 2048;
inline constexpr int kRetryAfterSeconds = 5;

// "Not Found" and so on; "" for a status that the router does not use.
[[nodiscard]] std::string_view status_title(int status);

// The same URL over HTTPS.
struct Redirect {
  int status = 301;                // or 308, which keeps the method
  std::string_view authority;      // with the port, where that is not 443
  std::string_view path;           // raw
  std::string_view query;          // raw, without '?'
  bool keep_alive = false;
};
// Writes the answer, which has no page; 0 where `out` has no room for it.
[[nodiscard]] std::size_t write_redirect(const Redirect& redirect,
                                         std::span<char> out);

// Writes head and page; 503 has Retry-After. `out` has kErrorPageBytesMax.
[[nodiscard]] std::size_t write_error_page(const ErrorPage& page,
                                           std::span<char> out);

}  // namespace fealty::router
