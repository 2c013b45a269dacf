#include "api/sealer.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/fd.h"

namespace fealty::api {
namespace {

constexpr std::size_t kNonceBytes =
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr int kBase64 = sodium_base64_VARIANT_ORIGINAL;
static_assert(Sealer::kKeyBytes ==
              crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string to_base64(const std::vector<unsigned char>& bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), kBase64), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(),
                    kBase64);
  text.pop_back();   // its NUL
  return text;
}

Error failed(const std::string& path, const char* what) {
  return Error{"secrets_key_file " + path + ": " + what};
}

}  // namespace

Sealer::~Sealer() { sodium_memzero(key_.data(), key_.size()); }

std::string Sealer::seal(std::string_view secret,
                         std::string_view purpose) const {
  if (secret.empty()) return {};
  std::vector<unsigned char> box(kNonceBytes + secret.size() + kTagBytes);
  randombytes_buf(box.data(), kNonceBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      box.data() + kNonceBytes, nullptr, bytes_of(secret), secret.size(),
      bytes_of(purpose), purpose.size(), nullptr, box.data(), key_.data());
  return to_base64(box);
}

Result<std::string> Sealer::open(const std::string& sealed,
                                 std::string_view purpose) const {
  if (sealed.empty()) return std::string();
  std::vector<unsigned char> box(sealed.size());
  std::size_t bytes = 0;
  const bool is_base64 =
      sodium_base642bin(box.data(), box.size(), sealed.data(), sealed.size(),
                        nullptr, &bytes, nullptr, kBase64) == 0;
  const Error error{"a sealed value cannot be opened: another key, or damaged"};
  if (!is_base64 || bytes < kNonceBytes + kTagBytes) return error;
  std::string secret(bytes - kNonceBytes - kTagBytes, '\0');
  const int opened = crypto_aead_xchacha20poly1305_ietf_decrypt(
      reinterpret_cast<unsigned char*>(secret.data()), nullptr, nullptr,
      box.data() + kNonceBytes, bytes - kNonceBytes, bytes_of(purpose),
      purpose.size(), box.data(), key_.data());
  if (opened != 0) return error;
  return secret;
}

std::string Sealer::mark(std::string_view text,
                         std::string_view purpose) const {
  // A key of its own for each purpose.
  Key key{};
  crypto_generichash(key.data(), key.size(), bytes_of(purpose), purpose.size(),
                     key_.data(), key_.size());
  std::array<unsigned char, 32> hash{};
  crypto_generichash(hash.data(), hash.size(), bytes_of(text), text.size(),
                     key.data(), key.size());
  sodium_memzero(key.data(), key.size());
  std::array<char, 2 * hash.size() + 1> hex{};
  sodium_bin2hex(hex.data(), hex.size(), hash.data(), hash.size());
  return hex.data();
}

std::optional<Sealer> Sealer::of_digits(std::string_view digits) {
  Key key{};
  std::size_t length = 0;
  const bool fine =
      digits.size() == 2 * kKeyBytes &&
      sodium_hex2bin(key.data(), key.size(), digits.data(), digits.size(),
                     nullptr, &length, nullptr) == 0 &&
      length == key.size();
  std::optional<Sealer> sealer;
  if (fine) sealer.emplace(key);
  sodium_memzero(key.data(), key.size());
  return sealer;
}

std::string Sealer::digits() const {
  std::string digits(2 * kKeyBytes + 1, '\0');
  sodium_bin2hex(digits.data(), digits.size(), key_.data(), key_.size());
  digits.pop_back();
  return digits;
}

std::string purpose_of(std::string_view table, std::string_view column,
                       std::string_view uuid) {
  std::string out(table);
  out.append(".").append(column).append(" of ").append(uuid);
  return out;
}

Result<Sealer> load_sealer(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return failed(path, std::strerror(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return failed(path, "it is no file");
  }
  if ((status.st_mode & 077) != 0) {
    return failed(path, "others may read it: chmod 600, and think about a new one");
  }
  std::array<char, 2 * Sealer::kKeyBytes> digits{};
  const ssize_t got = ::read(fd.get(), digits.data(), digits.size());
  auto sealer = Sealer::of_digits(
      {digits.data(), got < 0 ? 0 : static_cast<std::size_t>(got)});
  sodium_memzero(digits.data(), digits.size());
  if (!sealer) return failed(path, "64 hexadecimal digits are expected");
  return *sealer;
}

Status make_key_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return failed(path, std::strerror(errno));
  Sealer::Key key{};
  randombytes_buf(key.data(), key.size());
  std::array<char, 2 * Sealer::kKeyBytes + 1> digits{};
  sodium_bin2hex(digits.data(), digits.size(), key.data(), key.size());
  digits.back() = '\n';
  const ssize_t wrote = ::write(fd.get(), digits.data(), digits.size());
  sodium_memzero(key.data(), key.size());
  sodium_memzero(digits.data(), digits.size());
  // What is sealed with it must not outlive it.
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  const UniqueFd parent(::open(folder.empty() ? "." : folder.c_str(),
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (wrote != static_cast<ssize_t>(digits.size()) || ::fsync(fd.get()) != 0 ||
      ::fsync(parent.get()) != 0) {
    ::unlink(path.c_str());
    return failed(path, "it cannot be written");
  }
  return Ok{};
}

}  // namespace fealty::api
