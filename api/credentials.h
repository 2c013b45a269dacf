#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fealty::api {

struct Credentials {
  std::string username;
  std::string password;
};

inline constexpr std::size_t kCredentialBytesMax = 1024;

// Of `Authorization: Basic …`, or of the two headers with hexadecimal digits
// (they count where both are there). Nothing where it is none, longer than the
// bound, or no text.
[[nodiscard]] std::optional<Credentials> read_credentials(
    std::string_view authorization, std::string_view hex_username,
    std::string_view hex_password);

}  // namespace fealty::api
