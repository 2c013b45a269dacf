#include "router/sticky.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/fd.h"

namespace fealty::router {
namespace {

// A key has at most 255 bytes.
constexpr std::size_t kKeyBytesMax = 255;

void write_hex(std::span<const unsigned char> bytes, char* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const unsigned char byte : bytes) {
    *out++ = kDigits[byte >> 4];
    *out++ = kDigits[byte & 15];
  }
}

// The next "name=value" of a Cookie header, without the blanks around it.
std::string_view next_pair(std::string_view& rest) {
  const std::size_t end = std::min(rest.find(';'), rest.size());
  std::string_view pair = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  while (pair.starts_with(' ') || pair.starts_with('\t')) pair.remove_prefix(1);
  while (pair.ends_with(' ') || pair.ends_with('\t')) pair.remove_suffix(1);
  return pair;
}

// Where the pool of this key is mounted, as a cookie's Path; "/" for what a
// cookie could not say.
std::string_view path_of(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == key.npos || key.find_first_of(";,", slash) != key.npos) {
    return "/";
  }
  return key.substr(slash);
}

Error secret_error(const std::string& path, std::string_view what) {
  return Error{"the secret of sticky cookies, " + path + ": " +
               std::string(what) +
               "; see subscription.sticky_secret_file"};
}

constexpr std::size_t kSecretFileBytesMax = 4096;

// A file of random bytes that only its owner reads. False: errno says why.
bool make_secret_file(const std::string& path) {
  unsigned char bytes[32];
  randombytes_buf(bytes, sizeof bytes);
  char text[2 * sizeof bytes + 1];
  write_hex(bytes, text);
  text[2 * sizeof bytes] = '\n';
  const UniqueFd fd(::open(path.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  return fd.valid() &&
         ::write(fd.get(), text, sizeof text) == ssize_t{sizeof text};
}

std::size_t append(std::span<char> out, std::size_t at, std::string_view text) {
  FEALTY_CHECK(at + text.size() <= out.size());
  std::memcpy(out.data() + at, text.data(), text.size());
  return at + text.size();
}

}  // namespace

StickyCookie::StickyCookie(std::string name, const Secret& secret)
    : name_(std::move(name)), secret_(secret) {
  FEALTY_CHECK(!name_.empty() && name_.size() <= kNameBytesMax);
}

StickyCookie::Secret StickyCookie::random_secret() {
  FEALTY_CHECK(sodium_init() >= 0);
  Secret secret;
  randombytes_buf(secret.data(), secret.size());
  return secret;
}

Result<StickyCookie::Secret> StickyCookie::load_secret(
    const std::string& path) {
  FEALTY_CHECK(sodium_init() >= 0);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid() && errno == ENOENT) {
    if (!make_secret_file(path)) {
      return secret_error(path, std::string("cannot be made: ") +
                                    std::strerror(errno));
    }
    fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  }
  unsigned char bytes[kSecretFileBytesMax];
  const ssize_t got = fd.valid() ? ::read(fd.get(), bytes, sizeof bytes) : -1;
  if (got < 0) {
    return secret_error(path, std::string("cannot be read: ") +
                                  std::strerror(errno));
  }
  if (got < ssize_t{kSecretBytes}) {
    return secret_error(path, "it has fewer than 16 bytes");
  }
  Secret secret;
  crypto_generichash(secret.data(), secret.size(), bytes,
                     static_cast<unsigned long long>(got), nullptr, 0);
  sodium_memzero(bytes, sizeof bytes);
  return secret;
}

StickyCookie::Value StickyCookie::value_of(std::uint64_t token,
                                           std::string_view key) const {
  static_assert(crypto_shorthash_siphashx24_BYTES == kMacBytes);
  static_assert(crypto_shorthash_siphashx24_KEYBYTES == kSecretBytes);
  unsigned char message[8 + kKeyBytesMax];
  unsigned char mac[kMacBytes];
  key = key.substr(0, kKeyBytesMax);
  for (int i = 0; i < 8; ++i) {
    message[i] = static_cast<unsigned char>(token >> (56 - 8 * i));
  }
  std::memcpy(message + 8, key.data(), key.size());
  crypto_shorthash_siphashx24(mac, message, 8 + key.size(), secret_.data());
  Value value;
  write_hex({message, 8}, value.data());
  write_hex({mac, kMacBytes}, value.data() + 16);
  return value;
}

std::uint64_t StickyCookie::read(std::string_view cookies,
                                 std::string_view key) const {
  while (!cookies.empty()) {
    std::string_view pair = next_pair(cookies);
    if (!pair.starts_with(name_)) continue;
    pair.remove_prefix(name_.size());
    if (pair.size() != 1 + kValueChars || pair.front() != '=') continue;
    pair.remove_prefix(1);
    std::uint64_t token = 0;
    const char* const end = pair.data() + 16;
    const auto [stop, error] = std::from_chars(pair.data(), end, token, 16);
    if (error != std::errc{} || stop != end) continue;
    const Value genuine = value_of(token, key);
    if (sodium_memcmp(genuine.data(), pair.data(), kValueChars) == 0) {
      return token;
    }
  }
  return 0;
}

std::uint64_t StickyCookie::read(const http::RequestHead& head,
                                 std::string_view key) const {
  for (std::size_t i = 0; i < head.field_count; ++i) {
    const http::HeaderField& field = head.fields[i];
    if (field.rule->id != http::Header::kCookie) continue;
    if (const std::uint64_t token = read(field.value, key)) return token;
  }
  return 0;
}

std::size_t StickyCookie::write(std::uint64_t token, std::string_view key,
                                bool secure, std::span<char> out) const {
  const Value value = value_of(token, key);
  std::size_t at = append(out, 0, "Set-Cookie: ");
  at = append(out, at, name_);
  at = append(out, at, "=");
  at = append(out, at, {value.data(), value.size()});
  at = append(out, at, "; Path=");
  at = append(out, at, path_of(key));
  at = append(out, at, "; HttpOnly; SameSite=Lax");
  if (secure) at = append(out, at, "; Secure");
  return append(out, at, "\r\n");
}

}  // namespace fealty::router
