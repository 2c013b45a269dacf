#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fealty::http {

// Decodes the chunked coding (RFC 9112 section 7.1) as its bytes arrive, for
// requests and for nodes' answers. Strict: CRLF only, no blanks around the
// size, extensions of token[=token|"quoted"] shape. Bounded: a size of at most
// 16 digits, kLineBytesMax of size and extensions a chunk, kTrailerBytesMax of
// trailers; and a body whose framing outweighs it by far is refused. Trailers
// are dropped; those that would change framing or routing are refused (RFC
// 9110 section 6.5.1).
class ChunkedDecoder {
 public:
  enum class Step { kMore, kEnd, kBad };

  static constexpr std::size_t kLineBytesMax = 256;
  static constexpr std::size_t kTrailerBytesMax = 8 * 1024;
  // Framing beyond what chunks of one byte need.
  static constexpr std::uint64_t kOverheadBytesMax = 64 * 1024;

  struct Result {
    Step step = Step::kMore;
    std::size_t consumed = 0;      // bytes of the input that were the body's
    std::size_t data_bytes = 0;    // decoded bytes, now at the input's start
  };

  // Decodes in place: the decoded bytes are moved to the front of `bytes`.
  // After kEnd the rest of the input (from `consumed` on) is the next
  // message's. kBad stays.
  Result decode(std::span<char> bytes);

 private:
  enum class State : std::uint8_t {
    kSize, kSizeDigits, kExtName, kExtNameMore, kExtValue, kExtToken,
    kExtQuoted, kExtEscape, kExtQuotedEnd, kSizeLf, kData, kDataCr, kDataLf,
    kTrailerStart, kTrailerName, kTrailerValue, kTrailerLf, kEndLf, kEnd, kBad,
  };

  State step_framing(char c);
  State after_size(char c);
  State extension(char c);
  State trailer_start(char c);
  State trailer_name(char c);

  State state_ = State::kSize;
  std::uint64_t left_ = 0;         // of the chunk's data
  std::uint64_t overhead_ = 0;
  std::uint64_t data_ = 0;
  std::size_t digits_ = 0;
  std::size_t line_ = 0;
  std::size_t trailer_ = 0;
  std::size_t name_bytes_ = 0;
  char name_[18] = {};             // long enough for the forbidden names
};

}  // namespace fealty::http
