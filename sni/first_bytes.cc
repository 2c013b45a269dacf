#include "sni/first_bytes.h"

#include <algorithm>

namespace fealty::sni {
namespace {

bool is_letter(unsigned char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
}

// Letters and a space; as many letters as are looked at may be a method, too.
FirstBytes judge_text(std::span<const unsigned char> bytes) {
  const auto end = std::find_if_not(bytes.begin(), bytes.end(), &is_letter);
  if (end == bytes.begin()) return FirstBytes::kNeither;
  if (end != bytes.end()) {
    return *end == ' ' ? FirstBytes::kHttp : FirstBytes::kNeither;
  }
  return bytes.size() < kFirstBytesMost ? FirstBytes::kMore : FirstBytes::kHttp;
}

FirstBytes judge_record(std::span<const unsigned char> bytes) {
  constexpr unsigned char kTlsMajor = 3;
  constexpr unsigned char kClientHello = 1;
  constexpr int kHandshakeHeaderBytes = 4;
  if (bytes.size() > 1 && bytes[1] != kTlsMajor) return FirstBytes::kNeither;
  if (bytes.size() > 5 && bytes[5] != kClientHello) return FirstBytes::kNeither;
  if (bytes.size() > 4) {
    // The size would stand in the next record, where nobody looks.
    const int payload = bytes[3] << 8 | bytes[4];
    if (payload < kHandshakeHeaderBytes) return FirstBytes::kOversized;
  }
  if (bytes.size() < kFirstBytesMost) return FirstBytes::kMore;
  const std::size_t size = static_cast<std::size_t>(bytes[6]) << 16 |
                           static_cast<std::size_t>(bytes[7]) << 8 | bytes[8];
  return size > kClientHelloBytesMax ? FirstBytes::kOversized
                                     : FirstBytes::kTls;
}

}  // namespace

FirstBytes judge_first_bytes(std::span<const unsigned char> bytes) {
  if (bytes.empty()) return FirstBytes::kMore;
  bytes = bytes.first(std::min(bytes.size(), kFirstBytesMost));
  return begins_like_tls(bytes[0]) ? judge_record(bytes) : judge_text(bytes);
}

}  // namespace fealty::sni
