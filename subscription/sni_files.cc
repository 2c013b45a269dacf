#include "subscription/sni_files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "subscription/file_identity.h"
#include "subscription/paths.h"

namespace fealty::subscription {
namespace {

enum class Kind { kAbsent, kPath, kPem, kNeither };

Kind kind_of(std::string_view value) {
  constexpr std::string_view kSpace = " \t\r\n";
  if (value.empty()) return Kind::kAbsent;
  if (value.find('\0') != value.npos) return Kind::kNeither;
  if (value.front() == '/') return Kind::kPath;
  value.remove_prefix(std::min(value.find_first_not_of(kSpace), value.size()));
  return value.starts_with("-----BEGIN") ? Kind::kPem : Kind::kNeither;
}

std::string_view without_mark(std::string_view sni_ca) {
  return sni_ca.starts_with('!') ? sni_ca.substr(1) : sni_ca;
}

std::array<std::string_view, 3> values_of(const Announcement& announcement) {
  return {announcement.sni_key, announcement.sni_crt,
          without_mark(announcement.sni_ca)};
}

// What of `path` is left below `prefix`.
std::string_view below(std::string_view path, std::string_view prefix) {
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.substr(std::min(prefix.size() + 1, path.size()));
}

// EAGAIN: something was renamed on the way, and the kernel could not tell
// whether the path stayed below.
UniqueFd open_below(int directory, const std::string& path) {
  constexpr int kAttempts = 3;
  open_how how{};
  how.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int i = 0; i < kAttempts; ++i) {
    const long fd = ::syscall(SYS_openat2, directory, path.c_str(), &how,
                              sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return {};
}

UniqueFd open_within(std::string_view path, const std::string& prefix) {
  if (!path_within(path, prefix)) return {};
  const UniqueFd directory(
      ::open(prefix.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return {};
  return open_below(directory.get(), std::string(below(path, prefix)));
}

bool is_his_file(int fd, const std::optional<Credentials>& sender) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (status.st_uid != 0 && !(sender && sender->uid == status.st_uid)) {
    return false;
  }
  return status.st_size > 0 &&
         static_cast<std::size_t>(status.st_size) <= SniFiles::kFileBytesMax;
}

}  // namespace

SniMaterial::SniMaterial(SniMaterial&& other) noexcept
    : key(std::move(other.key)),
      chain(std::move(other.chain)),
      client_ca(std::move(other.client_ca)),
      client_required(other.client_required) {
  other.wipe();
}

SniMaterial& SniMaterial::operator=(SniMaterial&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  key = std::move(other.key);
  chain = std::move(other.chain);
  client_ca = std::move(other.client_ca);
  client_required = other.client_required;
  other.wipe();
  return *this;
}

SniMaterial::~SniMaterial() { wipe(); }

// A short text may still stand in the string itself after it was moved from.
void SniMaterial::wipe() {
  key.resize(key.capacity());
  OPENSSL_cleanse(key.data(), key.size());
  key.clear();
}

std::optional<Rejection> SniFiles::judge(
    const Announcement& announcement) const {
  return wanted() ? judge_values(announcement) : std::nullopt;
}

std::optional<Rejection> SniFiles::judge_values(
    const Announcement& announcement) const {
  for (const std::string_view value : values_of(announcement)) {
    const Kind kind = kind_of(value);
    if (kind == Kind::kNeither) return Rejection::kBadValue;
    if (kind != Kind::kPath) continue;
    bool within = false;
    for (const std::string& prefix : options_.allow_sni_paths) {
      within = within || path_within(value, prefix);
    }
    if (!within || !is_plain_path(value)) return Rejection::kSniNotAllowed;
  }
  return std::nullopt;
}

std::optional<Rejection> SniFiles::check(
    const Announcement& announcement,
    const std::optional<Credentials>& sender) const {
  if (!wanted()) return std::nullopt;
  if (const auto why = judge_values(announcement)) return why;
  for (const std::string_view value : values_of(announcement)) {
    if (kind_of(value) == Kind::kPath && !open(value, sender).valid()) {
      return Rejection::kSniNotAllowed;
    }
  }
  return std::nullopt;
}

Result<SniMaterial, Rejection> SniFiles::read(
    const Announcement& announcement,
    const std::optional<Credentials>& sender) const {
  if (const auto why = judge_values(announcement)) return *why;
  SniMaterial material;
  material.client_required = announcement.sni_ca.starts_with('!');
  const auto values = values_of(announcement);
  if (!read_value(values[0], sender, material.key) ||
      !read_value(values[1], sender, material.chain) ||
      !read_value(values[2], sender, material.client_ca)) {
    return Rejection::kSniNotAllowed;
  }
  return material;
}

UniqueFd SniFiles::open(std::string_view path,
                        const std::optional<Credentials>& sender) const {
  for (const std::string& prefix : options_.allow_sni_paths) {
    UniqueFd fd = open_within(path, prefix);
    if (fd.valid() && is_his_file(fd.get(), sender)) return fd;
  }
  return {};
}

bool SniFiles::read_value(std::string_view value,
                          const std::optional<Credentials>& sender,
                          std::string& out) const {
  if (kind_of(value) != Kind::kPath) {
    out = value;
    return true;
  }
  const UniqueFd fd = open(value, sender);
  struct stat status{};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return false;
  const auto bytes = static_cast<std::size_t>(status.st_size);
  return bytes <= kFileBytesMax && read_whole(fd.get(), bytes, out);
}

}  // namespace fealty::subscription
