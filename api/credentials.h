#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fealty::api {

struct Credentials {
  std::string username;
  std::string password;
};

// Of a name, a colon and a password; so that who has the longest of both, as they
// can be set, can log in.
inline constexpr std::size_t kCredentialBytesMax = 1024;
inline constexpr std::int64_t kUsernameBytesMax = 255;
inline constexpr std::int64_t kPasswordBytesMax =
    std::int64_t{kCredentialBytesMax} - 1 - kUsernameBytesMax;

// Of `Authorization: Basic …`, or of the two headers with hexadecimal digits
// (they count where both are there). Nothing where it is none, longer than the
// bound, or no text.
[[nodiscard]] std::optional<Credentials> read_credentials(
    std::string_view authorization, std::string_view hex_username,
    std::string_view hex_password);

}  // namespace fealty::api
