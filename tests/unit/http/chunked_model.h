#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/chunked.h"

namespace fealty::test {

using http::ChunkedDecoder;

// What ChunkedDecoder must make of a body: the grammar of RFC 9112 section 7.1
// read top to bottom over bytes that are all there, with the decoder's bounds.
// Shared by the unit tests and the fuzz target.
class ChunkedModel {
 public:
  using Step = ChunkedDecoder::Step;

  explicit ChunkedModel(std::string_view in) : in_(in) {
    try {
      body();
      step = Step::kEnd;
    } catch (const Stop& stop) {
      step = stop.step;
    }
    consumed = at_;
  }

  Step step = Step::kMore;
  std::size_t consumed = 0;
  std::string data;

 private:
  struct Stop {
    Step step;
  };
  enum class Part { kLine, kTrailer, kOther };

  static constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  static bool is_token(char c) {
    return is_digit(c) || is_letter(c) ||
           std::find(kTokenMarks.begin(), kTokenMarks.end(), c) !=
               kTokenMarks.end();
  }
  static bool is_text(char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  static int hex(char c) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const char lower = is_letter(c) ? static_cast<char>(c | 0x20) : c;
    const std::size_t value = kDigits.find(lower);
    return value == kDigits.npos ? -1 : static_cast<int>(value);
  }

  [[noreturn]] static void bad() { throw Stop{Step::kBad}; }

  char next(Part part) {
    if (at_ == in_.size()) throw Stop{Step::kMore};
    const char c = in_[at_++];
    ++overhead_;
    if (part == Part::kLine) ++line_;
    if (part == Part::kTrailer) ++trailer_;
    if (overhead_ > ChunkedDecoder::kOverheadBytesMax + 8 * data.size() ||
        line_ > ChunkedDecoder::kLineBytesMax ||
        trailer_ > ChunkedDecoder::kTrailerBytesMax) {
      bad();
    }
    return c;
  }
  void expect(char wanted, Part part) {
    if (next(part) != wanted) bad();
  }

  void body() {
    while (true) {
      line_ = 0;
      const std::uint64_t size = size_line();
      expect('\n', Part::kOther);
      line_ = 0;
      if (size == 0) break;
      chunk_data(size);
      expect('\r', Part::kOther);
      expect('\n', Part::kOther);
    }
    while (trailer_line()) {
    }
  }

  void chunk_data(std::uint64_t size) {
    const std::string_view here =
        in_.substr(at_, static_cast<std::size_t>(
                            std::min<std::uint64_t>(size, in_.size())));
    data += here;
    at_ += here.size();
    if (here.size() < size) throw Stop{Step::kMore};
  }

  // Up to and with the CR.
  std::uint64_t size_line() {
    constexpr std::uint64_t kLargest = INT64_MAX;
    std::uint64_t size = 0;
    int digits = 0;
    char c = next(Part::kLine);
    while (hex(c) >= 0) {
      if (++digits > 16 || size > kLargest / 16) bad();
      size = size * 16 + static_cast<unsigned>(hex(c));
      c = next(Part::kLine);
    }
    if (digits == 0) bad();
    while (c == ';') c = extension();
    if (c != '\r') bad();
    return size;
  }

  // Behind ';'; returns the byte that ends it.
  char extension() {
    char c = token(next(Part::kLine));
    if (c != '=') return c;
    c = next(Part::kLine);
    if (c != '"') return token(c);
    while ((c = next(Part::kLine)) != '"') {
      if (c == '\\') c = next(Part::kLine);
      if (!is_text(c)) bad();
    }
    return next(Part::kLine);
  }
  char token(char c) {
    if (!is_token(c)) bad();
    while (is_token(c)) c = next(Part::kLine);
    return c;
  }

  // False: it was the empty one.
  bool trailer_line() {
    char c = next(Part::kTrailer);
    if (c == '\r') {
      expect('\n', Part::kTrailer);
      return false;
    }
    std::string name;
    for (; is_token(c); c = next(Part::kTrailer)) {
      name += is_letter(c) ? static_cast<char>(c | 0x20) : c;
    }
    if (c != ':' || name.empty() || forbidden(name)) bad();
    while ((c = next(Part::kTrailer)) != '\r') {
      if (!is_text(c)) bad();
    }
    expect('\n', Part::kTrailer);
    return true;
  }
  static bool forbidden(std::string_view name) {
    for (const std::string_view one :
         {"content-length", "transfer-encoding", "host", "connection", "te",
          "trailer", "content-type", "expect"}) {
      if (name == one) return true;
    }
    return false;
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::size_t line_ = 0;
  std::size_t trailer_ = 0;
  std::uint64_t overhead_ = 0;
};

// A decoder fed with pieces of `in`; `piece` gives the size of the next one.
struct Fed {
  ChunkedDecoder::Step step = ChunkedDecoder::Step::kMore;
  std::size_t consumed = 0;
  std::string data;
};

template <typename Piece>
Fed feed_chunked(std::string_view in, Piece piece) {
  Fed fed;
  ChunkedDecoder decoder;
  while (fed.consumed < in.size() &&
         fed.step == ChunkedDecoder::Step::kMore) {
    const std::size_t take =
        std::clamp<std::size_t>(piece(), 1, in.size() - fed.consumed);
    std::string bytes(in.substr(fed.consumed, take));
    const auto result = decoder.decode(bytes);
    fed.step = result.step;
    fed.data.append(bytes, 0, result.data_bytes);
    fed.consumed += result.consumed;
  }
  return fed;
}

}  // namespace fealty::test
