#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fealty::http {

// Finds the end of an HTTP/1 head while its bytes arrive, each byte looked at
// once, and refuses early what no head may hold: control characters, NUL, a CR
// or an LF alone, a folded line. What passes is lines that each end in CRLF
// (RFC 9112 section 2.2 allows a recipient to be this strict, and request
// smuggling lives on those that are not).
class HeadScanner {
 public:
  enum class Step { kNeedMore, kComplete, kBad };

  // Looks at the bytes of `head` that it has not seen yet; `head` starts at
  // the head's first byte and only grows between calls.
  Step scan(std::string_view head);
  // After kComplete: the head's length, its empty line included.
  [[nodiscard]] std::size_t head_bytes() const { return at_; }
  void reset() { *this = HeadScanner(); }

 private:
  std::size_t at_ = 0;         // bytes seen
  std::size_t line_start_ = 0;
  bool after_cr_ = false;
};

}  // namespace fealty::http
