#include "http/chunked.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "http/header_rules.h"

namespace fealty::http {
namespace {

bool is_token(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) !=
                           std::string_view::npos);
}

bool is_text(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Fields that a trailer must not carry: what frames, routes or authenticates.
bool forbidden_trailer(std::string_view name) {
  switch (rule_of(name).id) {
    case Header::kContentLength:
    case Header::kTransferEncoding:
    case Header::kHost:
    case Header::kConnection:
    case Header::kTe:
    case Header::kTrailer:
    case Header::kContentType:
    case Header::kExpect:
      return true;
    default:
      return false;
  }
}

}  // namespace

ChunkedDecoder::State ChunkedDecoder::after_size(char c) {
  if (c == '\r') return State::kSizeLf;
  if (c == ';') return State::kExtName;
  return State::kBad;
}

ChunkedDecoder::State ChunkedDecoder::extension(char c) {
  switch (state_) {
    case State::kExtName:
      return is_token(c) ? State::kExtNameMore : State::kBad;
    case State::kExtNameMore:
      if (is_token(c)) return state_;
      return c == '=' ? State::kExtValue : after_size(c);
    case State::kExtValue:
      if (c == '"') return State::kExtQuoted;
      return is_token(c) ? State::kExtToken : State::kBad;
    case State::kExtToken:
      return is_token(c) ? state_ : after_size(c);
    case State::kExtQuoted:
      if (c == '"') return State::kExtQuotedEnd;
      if (c == '\\') return State::kExtEscape;
      return is_text(c) ? state_ : State::kBad;
    case State::kExtEscape:
      return is_text(c) ? State::kExtQuoted : State::kBad;
    default:
      return after_size(c);  // kExtQuotedEnd
  }
}

ChunkedDecoder::State ChunkedDecoder::trailer_start(char c) {
  if (c == '\r') return State::kEndLf;
  name_bytes_ = 0;
  return trailer_name(c);
}

ChunkedDecoder::State ChunkedDecoder::trailer_name(char c) {
  if (c == ':' && name_bytes_ > 0) {
    const bool whole = name_bytes_ <= sizeof name_;
    if (whole && forbidden_trailer({name_, name_bytes_})) return State::kBad;
    return State::kTrailerValue;
  }
  if (!is_token(c)) return State::kBad;
  if (name_bytes_ < sizeof name_) name_[name_bytes_] = c;
  ++name_bytes_;
  return State::kTrailerName;
}

// One byte of anything but a chunk's data.
ChunkedDecoder::State ChunkedDecoder::step_framing(char c) {
  switch (state_) {
    case State::kSize:
    case State::kSizeDigits: {
      const int digit = hex_value(c);
      if (digit < 0) {
        return state_ == State::kSize ? State::kBad : after_size(c);
      }
      // Sixteen digits at most, and the top bit stays clear: sums are safe.
      if (++digits_ > 16 || left_ >> 59 != 0) return State::kBad;
      left_ = left_ << 4 | static_cast<unsigned>(digit);
      return State::kSizeDigits;
    }
    case State::kSizeLf:
      if (c != '\n') return State::kBad;
      digits_ = line_ = 0;
      return left_ == 0 ? State::kTrailerStart : State::kData;
    case State::kDataCr:
      return c == '\r' ? State::kDataLf : State::kBad;
    case State::kDataLf:
      return c == '\n' ? State::kSize : State::kBad;
    case State::kTrailerStart:
      return trailer_start(c);
    case State::kTrailerName:
      return trailer_name(c);
    case State::kTrailerValue:
      if (c == '\r') return State::kTrailerLf;
      return is_text(c) ? state_ : State::kBad;
    case State::kTrailerLf:
      return c == '\n' ? State::kTrailerStart : State::kBad;
    case State::kEndLf:
      return c == '\n' ? State::kEnd : State::kBad;
    default:
      return extension(c);
  }
}

ChunkedDecoder::Result ChunkedDecoder::decode(std::span<char> bytes) {
  Result result;
  std::size_t at = 0;
  while (at < bytes.size() && state_ != State::kEnd && state_ != State::kBad) {
    if (state_ == State::kData) {
      const std::size_t take = static_cast<std::size_t>(
          std::min<std::uint64_t>(left_, bytes.size() - at));
      if (at != result.data_bytes) {
        std::memmove(bytes.data() + result.data_bytes, bytes.data() + at, take);
      }
      result.data_bytes += take;
      at += take;
      data_ += take;
      left_ -= take;
      if (left_ == 0) state_ = State::kDataCr;
      continue;
    }
    const bool in_line = state_ < State::kSizeLf;
    const bool in_trailer = state_ >= State::kTrailerStart;
    state_ = step_framing(bytes[at++]);
    ++overhead_;
    if ((in_line && ++line_ > kLineBytesMax) ||
        (in_trailer && ++trailer_ > kTrailerBytesMax) ||
        overhead_ > kOverheadBytesMax + 8 * data_) {
      state_ = State::kBad;
    }
  }
  result.consumed = at;
  if (state_ == State::kEnd) result.step = Step::kEnd;
  if (state_ == State::kBad) result.step = Step::kBad;
  return result;
}

}  // namespace fealty::http
