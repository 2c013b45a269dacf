#include "sni/pem.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

namespace fealty::sni {
namespace {

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";
constexpr std::size_t kLabelBytesMax = 40;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view trim(std::string_view line) {
  while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
  while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
  return line;
}

// The label of "-----BEGIN label-----"; empty where the line is none.
std::string_view label_of(std::string_view line, std::string_view mark) {
  if (!line.starts_with(mark) || !line.ends_with(kDashes)) return {};
  line.remove_prefix(mark.size());
  if (line.size() <= kDashes.size()) return {};
  line.remove_suffix(kDashes.size());
  for (const char c : line) {
    if ((c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != ' ') return {};
  }
  return line.size() <= kLabelBytesMax ? line : std::string_view{};
}

// Characters that count, without white space. False where `=` stands anywhere
// but at the end.
bool gather(std::string_view body, SecretBytes& out) {
  bool padded = false;
  for (const char c : body) {
    if (is_space(c)) continue;
    if (padded && c != '=') return false;
    padded = padded || c == '=';
    if (!out.push(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

std::size_t padding_of(const SecretBytes& text) {
  std::size_t count = 0;
  while (count < text.size() && text.data()[text.size() - 1 - count] == '=') {
    ++count;
  }
  return count;
}

}  // namespace

std::string_view PemReader::take_line() {
  const std::size_t end = std::min(rest_.find('\n'), rest_.size());
  const std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  return trim(line);
}

PemReader::Step PemReader::next(PemBlock& block) {
  if (rest_.find('\0') != rest_.npos) return Step::kBad;
  while (!rest_.empty()) {
    const std::string_view line = take_line();
    if (!line.starts_with(kDashes)) continue;
    block.label = label_of(line, kBegin);
    block.encrypted = false;
    const bool whole =
        !block.label.empty() && take_headers(block) && take_body(block);
    return whole ? Step::kBlock : Step::kBad;
  }
  return Step::kEnd;
}

// "Proc-Type: 4,ENCRYPTED", "DEK-Info: …", and an empty line.
bool PemReader::take_headers(PemBlock& block) {
  const auto has_header = [this] {
    return rest_.substr(0, rest_.find('\n')).find(':') != rest_.npos;
  };
  while (has_header()) {
    const std::string_view line = take_line();
    if (!line.starts_with("Proc-Type:") && !line.starts_with("DEK-Info:")) {
      return false;
    }
    block.encrypted = true;
  }
  return true;
}

bool PemReader::take_body(PemBlock& block) {
  const std::string_view from = rest_;
  while (!rest_.empty()) {
    const std::size_t before = from.size() - rest_.size();
    const std::string_view line = take_line();
    if (!line.starts_with('-')) continue;
    block.body = from.substr(0, before);
    return label_of(line, kEnd) == block.label;
  }
  return false;
}

bool decode_body(std::string_view body, std::size_t bytes_max,
                 SecretBytes& out) {
  SecretBytes text(std::min(body.size(), bytes_max / 3 * 4 + 4));
  if (!gather(body, text) || text.empty() || text.size() % 4 != 0) return false;
  const std::size_t padding = padding_of(text);
  SecretBytes bytes(text.size() / 4 * 3);
  const int count = EVP_DecodeBlock(bytes.data(), text.data(),
                                    static_cast<int>(text.size()));
  if (padding > 2 || count != static_cast<int>(bytes.capacity())) return false;
  bytes.resize(bytes.capacity() - padding);
  if (bytes.size() > bytes_max) return false;
  out = std::move(bytes);
  return true;
}

}  // namespace fealty::sni
