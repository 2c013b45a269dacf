#include "sni/server_name.h"

namespace fealty::sni {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// A 16-bit length that is all of what follows; what follows, or nothing.
std::span<const unsigned char> whole(std::span<const unsigned char> bytes) {
  if (bytes.size() < 2) return {};
  const auto size = static_cast<std::size_t>(bytes[0] << 8 | bytes[1]);
  const auto rest = bytes.subspan(2);
  return size == rest.size() ? rest : std::span<const unsigned char>{};
}

}  // namespace

ServerName ServerName::fold(std::string_view name) {
  ServerName folded;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kNameBytesMax || name.front() == '.') {
    return folded;
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = lower(name[i]);
    if (!is_name_byte(c)) return folded;
    folded.bytes_[i] = c;
  }
  folded.size_ = name.size();
  return folded;
}

std::string_view ServerName::in_extension(
    std::span<const unsigned char> extension) {
  constexpr unsigned char kHostName = 0;
  const auto list = whole(extension);
  if (list.empty() || list[0] != kHostName) return {};
  const auto name = whole(list.subspan(1));
  return {reinterpret_cast<const char*>(name.data()), name.size()};
}

}  // namespace fealty::sni
