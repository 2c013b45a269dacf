#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "sni/identity.h"

namespace fealty::sni {

// A name as identities are found by it: lower case, no trailing dot. Holds its
// bytes; no allocation.
class ServerName {
 public:
  // Empty where `name` is none: over kNameBytesMax bytes, with a byte that no
  // domain has, beginning with a dot (a client does not ask for a wildcard).
  [[nodiscard]] static ServerName fold(std::string_view name);

  // The host_name of a server_name extension (RFC 6066, section 3); empty where
  // it has none or is out of shape (OpenSSL refuses that one itself, later).
  [[nodiscard]] static std::string_view in_extension(
      std::span<const unsigned char> extension);

  [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  std::array<char, kNameBytesMax> bytes_;
  std::size_t size_ = 0;
};

}  // namespace fealty::sni
