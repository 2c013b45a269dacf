#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace fealty::wire {

// The uwsgi packet (docs/protocol/subscription.md has the grammar and a worked
// example; the judge is uWSGI 2.0.21):
//
//   packet = modifier1:u8  data_bytes:u16le  modifier2:u8  pair*
//   pair   = key_bytes:u16le key  value_bytes:u16le value
//
// Pure functions over bytes of the caller's; nothing is copied on decode and
// nothing is allocated on either side.

inline constexpr std::size_t kUwsgiHeaderBytes = 4;
inline constexpr std::size_t kUwsgiDataBytesMax = 65'535;
inline constexpr std::size_t kUwsgiPacketBytesMax =
    kUwsgiHeaderBytes + kUwsgiDataBytesMax;

inline constexpr std::uint8_t kModifierRequest = 0;
inline constexpr std::uint8_t kModifierLegion = 109;
// Of a node, not of a packet: what a raw node is sent has kModifierRequest.
inline constexpr std::uint8_t kModifierRaw = 123;
inline constexpr std::uint8_t kModifierSubscription = 224;

struct UwsgiHeader {
  std::uint8_t modifier1 = 0;
  std::uint16_t data_bytes = 0;
  std::uint8_t modifier2 = 0;
};

[[nodiscard]] inline std::uint16_t load_u16le(const char* at) {
  const auto low = static_cast<unsigned char>(at[0]);
  const auto high = static_cast<unsigned char>(at[1]);
  return static_cast<std::uint16_t>(low | high << 8);
}

inline void store_u16le(char* at, std::size_t value) {
  at[0] = static_cast<char>(value & 0xFF);
  at[1] = static_cast<char>(value >> 8 & 0xFF);
}

// Empty where fewer than four bytes are there.
[[nodiscard]] inline std::optional<UwsgiHeader> decode_uwsgi_header(
    std::string_view bytes) {
  if (bytes.size() < kUwsgiHeaderBytes) return std::nullopt;
  return UwsgiHeader{static_cast<std::uint8_t>(bytes[0]),
                     load_u16le(bytes.data() + 1),
                     static_cast<std::uint8_t>(bytes[3])};
}

inline void encode_uwsgi_header(char* at, const UwsgiHeader& header) {
  at[0] = static_cast<char>(header.modifier1);
  store_u16le(at + 1, header.data_bytes);
  at[3] = static_cast<char>(header.modifier2);
}

struct UwsgiPair {
  std::string_view key;
  std::string_view value;
  // Where the pair begins, counted from the first byte of the data: what a
  // signature covers ends there.
  std::size_t offset = 0;
};

// Walks the pairs of a packet's data (the bytes after the header). The views
// live as long as `data` does.
class UwsgiPairReader {
 public:
  enum class Step { kPair, kEnd, kMalformed };

  explicit UwsgiPairReader(std::string_view data) : data_(data) {}

  // kPair fills `pair`; kMalformed: a length points beyond the data, and stays
  // the answer from then on.
  [[nodiscard]] Step next(UwsgiPair& pair) {
    if (at_ == data_.size()) return Step::kEnd;
    const std::size_t start = at_;
    std::size_t at = at_;
    if (!take(at, pair.key) || !take(at, pair.value)) return Step::kMalformed;
    pair.offset = start;
    at_ = at;
    return Step::kPair;
  }

 private:
  bool take(std::size_t& at, std::string_view& out) const {
    if (data_.size() - at < 2) return false;
    const std::size_t bytes = load_u16le(data_.data() + at);
    at += 2;
    if (data_.size() - at < bytes) return false;
    out = data_.substr(at, bytes);
    at += bytes;
    return true;
  }

  std::string_view data_;
  std::size_t at_ = 0;
};

// Writes a packet into the caller's buffer. Once something did not fit (the
// buffer, or the format's 65535 bytes), everything after is ignored and
// finish() is empty: a packet is whole or it is not there.
class UwsgiWriter {
 public:
  explicit UwsgiWriter(std::span<char> buffer)
      : begin_(buffer.data()),
        end_(buffer.data() +
             (buffer.size() < kUwsgiPacketBytesMax ? buffer.size()
                                                   : kUwsgiPacketBytesMax)),
        at_(begin_ + (buffer.size() >= kUwsgiHeaderBytes ? kUwsgiHeaderBytes
                                                         : 0)),
        fits_(buffer.size() >= kUwsgiHeaderBytes) {}

  void add(std::string_view key, std::string_view value) {
    char* const value_at = begin_pair(key, value.size());
    if (value_at != nullptr && !value.empty()) {
      std::memcpy(value_at, value.data(), value.size());
    }
  }

  // Writes key and value length and returns where the `value_bytes` bytes of
  // the value are to be written by the caller; null where they do not fit.
  [[nodiscard]] char* begin_pair(std::string_view key,
                                 std::size_t value_bytes) {
    if (!fits_ || room() < 4 || room() - 4 < key.size() ||
        room() - 4 - key.size() < value_bytes) {
      fits_ = false;
      return nullptr;
    }
    store_u16le(at_, key.size());
    if (!key.empty()) std::memcpy(at_ + 2, key.data(), key.size());
    at_ += 2 + key.size();
    store_u16le(at_, value_bytes);
    char* const value_at = at_ + 2;
    at_ = value_at + value_bytes;
    return value_at;
  }

  // Makes the packet one that did not fit, for a limit of the caller's.
  void refuse() { fits_ = false; }

  // Shortens the value that was begun last, at `value_at`, from `from` to `to`
  // bytes: for values whose length is only known once they are written.
  void shrink_last(char* value_at, std::size_t from, std::size_t to) {
    store_u16le(value_at - 2, to);
    at_ -= from - to;
  }

  // The whole packet with its header; empty if something did not fit.
  [[nodiscard]] std::span<char> finish(std::uint8_t modifier1,
                                       std::uint8_t modifier2) {
    if (!fits_) return {};
    const auto bytes = static_cast<std::size_t>(at_ - begin_);
    encode_uwsgi_header(
        begin_, {modifier1,
                 static_cast<std::uint16_t>(bytes - kUwsgiHeaderBytes),
                 modifier2});
    return {begin_, bytes};
  }

  [[nodiscard]] bool fits() const { return fits_; }

 private:
  [[nodiscard]] std::size_t room() const {
    return static_cast<std::size_t>(end_ - at_);
  }

  char* begin_;
  char* end_;
  char* at_;
  bool fits_;
};

// Adds a pair to an encoded packet of `packet_bytes` in `out`; returns its new
// size. Room for it, in `out` and in the format, is the caller's business.
inline std::size_t append_pair(std::span<char> out, std::size_t packet_bytes,
                               std::string_view key, std::string_view value) {
  char* at = out.data() + packet_bytes;
  for (const std::string_view part : {key, value}) {
    store_u16le(at, part.size());
    std::memcpy(at + 2, part.data(), part.size());
    at += 2 + part.size();
  }
  const auto bytes = static_cast<std::size_t>(at - out.data());
  store_u16le(out.data() + 1, bytes - kUwsgiHeaderBytes);
  return bytes;
}

}  // namespace fealty::wire
