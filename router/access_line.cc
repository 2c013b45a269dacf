#include "router/access_line.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <type_traits>

#include "base/check.h"

namespace fealty::router {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_plain(char c) {
  return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

// Appends to a span that is large enough; the bounds of access_line.h say so.
class Line {
 public:
  Line(std::span<char> out, std::string_view escape)
      : out_(out), escape_(escape) {}

  Line& operator<<(std::string_view text) {
    FEALTY_CHECK(text.size() <= out_.size() - size_);
    if (!text.empty()) std::memcpy(out_.data() + size_, text.data(), text.size());
    size_ += text.size();
    return *this;
  }
  template <typename Number>
    requires std::is_integral_v<Number>
  Line& operator<<(Number number) {
    char digits[24];
    char* const end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view(digits, end);
  }
  // What others sent, at most `most` bytes of it.
  Line& quote(std::string_view text, std::size_t most = kFieldBytesMax) {
    text = text.substr(0, most);
    while (!text.empty()) {
      const auto plain = static_cast<std::size_t>(
          std::find_if_not(text.begin(), text.end(), &is_plain) -
          text.begin());
      *this << text.substr(0, plain);
      text.remove_prefix(plain);
      if (text.empty()) break;
      const auto byte = static_cast<unsigned char>(text.front());
      const char hex[] = {kHex[byte >> 4], kHex[byte & 15]};
      *this << escape_ << std::string_view(hex, 2);
      text.remove_prefix(1);
    }
    return *this;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::span<char> out_;
  std::string_view escape_;        // before two hex digits
  std::size_t size_ = 0;
};

std::string_view or_dash(std::string_view text) {
  return text.empty() ? "-" : text;
}

std::size_t write_combined(const AccessEntry& entry, AccessClock& clock,
                           std::span<char> out) {
  Line line(out, "\\x");
  line << or_dash(entry.remote_addr) << " - - ["
       << clock.local(entry.unix_ms / 1000) << "] \"";
  line.quote(entry.method);
  if (!entry.method.empty()) line << " ";
  line.quote(entry.target, kTargetBytesMax);
  if (!entry.protocol.empty()) line << " " << entry.protocol;
  line << "\" " << entry.status << " " << entry.body_bytes << " \"";
  line.quote(or_dash(entry.referer)) << "\" \"";
  line.quote(or_dash(entry.user_agent)) << "\"\n";
  return line.size();
}

std::size_t write_json(const AccessEntry& entry, AccessClock& clock,
                       std::span<char> out) {
  Line line(out, "\\u00");
  const auto text = [&](std::string_view name, std::string_view value,
                        std::size_t most = kFieldBytesMax) {
    line << ",\"" << name << "\":\"";
    line.quote(value, most) << "\"";
  };
  const auto number = [&](std::string_view name, auto value) {
    line << ",\"" << name << "\":" << value;
  };
  const std::int64_t ms = entry.unix_ms % 1000;
  const char millis[] = {static_cast<char>('0' + ms / 100),
                         static_cast<char>('0' + ms / 10 % 10),
                         static_cast<char>('0' + ms % 10)};
  line << "{\"time\":\"" << clock.utc(entry.unix_ms / 1000) << "."
       << std::string_view(millis, 3) << "Z\"";
  text("remote_addr", entry.remote_addr);
  text("remote_port", entry.remote_port);
  text("method", entry.method);
  text("uri", entry.target, kTargetBytesMax);
  text("protocol", entry.protocol);
  text("host", entry.host);
  number("status", entry.status);
  number("bytes_sent", entry.sent_bytes);
  number("body_bytes_sent", entry.body_bytes);
  number("duration_ms", entry.duration_ms);
  line << ",\"https\":" << (entry.secure ? "true" : "false");
  text("key", entry.key);
  text("node", entry.node);
  text("referer", entry.referer);
  text("user_agent", entry.user_agent);
  char id[16];
  for (int i = 0; i < 16; ++i) id[i] = kHex[entry.request_id >> (60 - 4 * i) & 15];
  text("request_id", {id, sizeof id});
  line << "}\n";
  return line.size();
}

}  // namespace

std::string_view AccessClock::local(std::int64_t unix_s) {
  if (local_.of_s != unix_s) {
    local_.of_s = unix_s;
    const std::time_t time = unix_s;
    std::tm broken{};
    ::localtime_r(&time, &broken);
    // Not strftime("%b"): months are English whatever the locale.
    static constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char zone[8];
    std::strftime(zone, sizeof zone, "%z", &broken);
    const int written = std::snprintf(
        local_.bytes.data(), local_.bytes.size(),
        "%02d/%.3s/%04d:%02d:%02d:%02d %.6s", broken.tm_mday,
        kMonths + 3 * broken.tm_mon, broken.tm_year + 1900, broken.tm_hour,
        broken.tm_min, broken.tm_sec, zone);
    local_.size = written < 0 ? 0 : static_cast<std::size_t>(written);
  }
  return {local_.bytes.data(), local_.size};
}

std::string_view AccessClock::utc(std::int64_t unix_s) {
  if (utc_.of_s != unix_s) {
    utc_.of_s = unix_s;
    const std::time_t time = unix_s;
    std::tm broken{};
    ::gmtime_r(&time, &broken);
    utc_.size = std::strftime(utc_.bytes.data(), utc_.bytes.size(),
                              "%Y-%m-%dT%H:%M:%S", &broken);
  }
  return {utc_.bytes.data(), utc_.size};
}

std::size_t write_access_line(AccessFormat format, const AccessEntry& entry,
                              AccessClock& clock, std::span<char> out) {
  return format == AccessFormat::kCombined ? write_combined(entry, clock, out)
                                           : write_json(entry, clock, out);
}

}  // namespace fealty::router
