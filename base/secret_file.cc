#include "base/secret_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace fealty {

Result<std::string> read_secret_file(const std::string& path,
                                     std::size_t bytes_least) {
  const auto failed = [&](const std::string& why) {
    return Error{path + ": " + why};
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat file{};
  if (!fd.valid() || ::fstat(fd.get(), &file) != 0) {
    return failed(std::strerror(errno));
  }
  if (S_ISREG(file.st_mode) && (file.st_mode & (S_IWOTH | S_IROTH)) != 0) {
    return failed("every user of this host may read or change it; chmod o-rw");
  }
  // One byte and a line's end more than it may have.
  std::string secret(kSecretBytesMax + 3, '\0');
  const ssize_t got = ::read(fd.get(), secret.data(), secret.size());
  if (got < 0) return failed(std::strerror(errno));
  secret.resize(static_cast<std::size_t>(got));
  while (secret.ends_with('\n') || secret.ends_with('\r')) secret.pop_back();
  if (secret.empty()) return failed("it is empty");
  if (secret.size() > kSecretBytesMax) {
    return failed("it is longer than 4096 bytes");
  }
  if (secret.size() < bytes_least) {
    return failed("it has fewer than " + std::to_string(bytes_least) +
                  " bytes: make one with openssl rand -hex 32");
  }
  return secret;
}

void wipe(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace fealty
