#pragma once

#include <cstddef>
#include <string_view>

#include "http/head_scanner.h"

namespace fealty::test {

using http::HeadScanner;

// What HeadScanner must say of `head` when it is given at once: one byte after
// the other, from nothing but the byte itself and what is before it. Shared by
// the unit tests and the fuzz targets.
struct HeadModel {
  HeadScanner::Step step = HeadScanner::Step::kNeedMore;
  std::size_t head_bytes = 0;   // kComplete only
};

inline bool at_line_start(std::string_view head, std::size_t at) {
  return at == 0 || head[at - 1] == '\n';
}

inline bool allowed_in_line(std::string_view head, std::size_t at) {
  const auto byte = static_cast<unsigned char>(head[at]);
  const bool blank = byte == ' ' || byte == '\t';
  if (blank) return !at_line_start(head, at);
  return byte == '\r' || (byte > 0x20 && byte != 0x7f);
}

inline HeadModel model_head(std::string_view head) {
  using Step = HeadScanner::Step;
  for (std::size_t at = 0; at < head.size(); ++at) {
    if (at > 0 && head[at - 1] == '\r') {
      if (head[at] != '\n') return {Step::kBad, 0};
      if (at_line_start(head, at - 1)) return {Step::kComplete, at + 1};
    } else if (!allowed_in_line(head, at)) {
      return {Step::kBad, 0};
    }
  }
  return {Step::kNeedMore, 0};
}

}  // namespace fealty::test
