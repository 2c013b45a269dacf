#include "api/credentials.h"

#include <sodium.h>
#include <strings.h>

#include "api/json.h"

namespace fealty::api {
namespace {

constexpr std::string_view kBasic = "basic ";

std::optional<std::string> checked(std::string bytes) {
  if (bytes.size() > kCredentialBytesMax || !is_text(bytes)) return std::nullopt;
  return bytes;
}

std::optional<std::string> from_hex(std::string_view digits) {
  std::string bytes(digits.size() / 2, '\0');
  std::size_t length = 0;
  const char* end = nullptr;
  const int failed = sodium_hex2bin(
      reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
      digits.data(), digits.size(), nullptr, &length, &end);
  if (failed != 0 || end != digits.data() + digits.size()) return std::nullopt;
  bytes.resize(length);
  return checked(std::move(bytes));
}

// With or without its padding, as clients write it.
std::optional<std::string> from_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes(text.size(), '\0');
  std::size_t length = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()),
                        bytes.size(), text.data(), text.size(), nullptr,
                        &length, nullptr,
                        sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0) {
    return std::nullopt;
  }
  bytes.resize(length);
  return checked(std::move(bytes));
}

}  // namespace

std::optional<Credentials> read_credentials(std::string_view authorization,
                                            std::string_view hex_username,
                                            std::string_view hex_password) {
  if (!hex_username.empty() && !hex_password.empty()) {
    auto username = from_hex(hex_username);
    auto password = from_hex(hex_password);
    if (!username || !password) return std::nullopt;
    return Credentials{*std::move(username), *std::move(password)};
  }
  if (authorization.size() <= kBasic.size() ||
      ::strncasecmp(authorization.data(), kBasic.data(), kBasic.size()) != 0) {
    return std::nullopt;
  }
  authorization.remove_prefix(kBasic.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  const auto pair = from_base64(authorization);
  if (!pair) return std::nullopt;
  const std::size_t colon = pair->find(':');
  if (colon == std::string::npos) return std::nullopt;
  return Credentials{pair->substr(0, colon), pair->substr(colon + 1)};
}

}  // namespace fealty::api
