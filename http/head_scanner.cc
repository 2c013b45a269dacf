#include "http/head_scanner.h"

#include <bit>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fealty::http {
namespace {

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

// The place of the next control character from `at` on, or the size.
std::size_t next_control(std::string_view head, std::size_t at) {
#if defined(__SSE2__)
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i del = _mm_set1_epi8(0x7f);
  while (head.size() - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(head.data() + at));
    // Unsigned "below 0x20": the maximum with 0x20 is not the byte itself.
    const __m128i printable =
        _mm_cmpeq_epi8(_mm_max_epu8(bytes, space), bytes);
    const int plain = _mm_movemask_epi8(
        _mm_andnot_si128(_mm_cmpeq_epi8(bytes, del), printable));
    if (plain != 0xFFFF) {
      return at + static_cast<std::size_t>(
                      std::countr_one(static_cast<unsigned>(plain)));
    }
    at += 16;
  }
#endif
  while (at < head.size() && !is_control(head[at])) ++at;
  return at;
}

}  // namespace

HeadScanner::Step HeadScanner::scan(std::string_view head) {
  while (at_ < head.size()) {
    if (after_cr_) {
      if (head[at_] != '\n') return Step::kBad;
      const bool empty_line = at_ == line_start_ + 1;
      ++at_;
      after_cr_ = false;
      line_start_ = at_;
      if (empty_line) return Step::kComplete;
      continue;
    }
    // A line that begins with a blank continues the one before (obs-fold).
    if (at_ == line_start_ && (head[at_] == ' ' || head[at_] == '\t')) {
      return Step::kBad;
    }
    at_ = next_control(head, at_);
    if (at_ == head.size()) break;
    if (head[at_] == '\r') {
      after_cr_ = true;
    } else if (head[at_] != '\t') {
      return Step::kBad;
    }
    ++at_;
  }
  return Step::kNeedMore;
}

}  // namespace fealty::http
