#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/address.h"
#include "base/result.h"

namespace fealty::cli {

struct AdminAnswer {
  int status = 0;
  std::string body;
};

// One request to a router's admin listener; blocks for at most kLimit_ms
// between two pieces of the answer. Fails, saying why and what to look at, where
// nobody answers, or the answer is no HTTP or not whole.
class AdminClient {
 public:
  static constexpr std::int64_t kLimit_ms = 10'000;
  static constexpr std::size_t kAnswerBytesMax = std::size_t{1} << 30;

  // `whose` listener it is, for messages.
  explicit AdminClient(Address address, std::string whose = "the router's")
      : address_(address), whose_(std::move(whose)) {}

  // `target` as it stands in the request line: see percent_encoded().
  [[nodiscard]] Result<AdminAnswer> request(std::string_view method,
                                            std::string_view target) const;

 private:
  [[nodiscard]] Error failed(std::string_view what, int error) const;

  Address address_;
  std::string whose_;
};

// For a query's value: all but unreserved characters as %NN.
[[nodiscard]] std::string percent_encoded(std::string_view text);

// An HTTP answer taken apart; fails where it is none, or shorter than its
// Content-Length says.
[[nodiscard]] Result<AdminAnswer> parse_answer(std::string_view bytes);

}  // namespace fealty::cli
