#include "subscription/sni_files.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/privilege.h"
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

void append_number(std::string& to, std::uint64_t number) {
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void append_time(std::string& to, const timespec& time) {
  append_number(to, static_cast<std::uint64_t>(time.tv_sec));
  append_number(to, static_cast<std::uint64_t>(time.tv_nsec));
}

// The kernel's words for a way that leads out of where it began, over a link of
// any kind.
bool leaves_prefix(int error) { return error == EXDEV || error == ELOOP; }

UniqueFd open_for_reading(std::string_view path, const std::string& prefix) {
  return open_within(path, prefix,
                     O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

// A file that its owner keeps to himself, as `openssl genrsa` makes it: opened
// with more rights than this process has, and handed on only where it is the
// sender's, who can read it anyway.
UniqueFd open_in_his_stead(std::string_view path, const std::string& prefix,
                           const std::optional<Credentials>& sender) {
  const ReadAnyFile right;
  struct stat status{};
  UniqueFd fd;
  if (sender && right.granted()) fd = open_for_reading(path, prefix);
  if (fd.valid() && (::fstat(fd.get(), &status) != 0 ||
                     status.st_uid != sender->uid)) {
    fd.reset();
  }
  if (!fd.valid() && !leaves_prefix(errno)) errno = EACCES;
  return fd;
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

std::string SniSource::name() const {
  std::string name;
  append_number(name, client_required_ ? 1 : 0);
  for (const std::string_view value : values_) {
    append_number(name, value.size());
    name += value;
  }
  return name;
}

std::string SniSource::state() const {
  std::string state = name();
  for (const int fault : faults_) {
    append_number(state, static_cast<std::uint64_t>(fault));
  }
  for (const FileIdentity& file : identities_) {
    append_number(state, file.device);
    append_number(state, file.inode);
    append_number(state, static_cast<std::uint64_t>(file.bytes));
    append_time(state, file.modified);
    append_time(state, file.changed);
  }
  return state;
}

std::string SniSource::problem() const {
  constexpr std::array<std::string_view, kValues> kNames = {
      "sni_key", "sni_crt", "sni_ca"};
  for (std::size_t i = 0; i < kValues; ++i) {
    if (faults_[i] == kFine) continue;
    std::string text(kNames[i]);
    text.append(" ").append(values_[i]).append(": ");
    switch (faults_[i]) {
      case kNotRegular: return text + "it is no regular file";
      case kAnothers:
        return text + "it belongs neither to the sender nor to root";
      case kEmpty: return text + "it is empty";
      case kTooLarge: return text + "it has more than 64 KiB";
      default: return text + std::strerror(faults_[i]);
    }
  }
  return {};
}

bool SniSource::settled() const {
  for (std::size_t i = 0; i < kValues; ++i) {
    if (files_[i].valid() && !is_settled(identities_[i])) return false;
  }
  return true;
}

Result<SniMaterial, Rejection> SniSource::read() const {
  SniMaterial material;
  material.client_required = client_required_;
  if (!read_value(0, material.key) || !read_value(1, material.chain) ||
      !read_value(2, material.client_ca)) {
    return Rejection::kSniNotAllowed;
  }
  return material;
}

// As many bytes as there were when the file was proven.
bool SniSource::read_value(std::size_t i, std::string& out) const {
  if (!files_[i].valid()) {
    out = values_[i];
    return true;
  }
  return read_whole(files_[i].get(),
                    static_cast<std::size_t>(identities_[i].bytes), out);
}

std::optional<Rejection> SniFiles::judge(
    const Announcement& announcement) const {
  if (!wanted()) return std::nullopt;
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

Result<SniSource, Rejection> SniFiles::open(
    const Announcement& announcement,
    const std::optional<Credentials>& sender) const {
  SniSource source;
  if (!wanted()) return source;
  if (const auto why = judge(announcement)) return *why;
  source.values_ = values_of(announcement);
  source.client_required_ = announcement.sni_ca.starts_with('!');
  for (std::size_t i = 0; i < SniSource::kValues; ++i) {
    if (kind_of(source.values_[i]) != Kind::kPath) continue;
    if (!open_file(source, i, sender)) return Rejection::kSniNotAllowed;
  }
  return source;
}

bool SniFiles::open_file(SniSource& source, std::size_t i,
                         const std::optional<Credentials>& sender) const {
  bool allowed = false;
  for (const std::string& prefix : options_.allow_sni_paths) {
    if (!path_within(source.values_[i], prefix)) continue;
    UniqueFd fd = open_for_reading(source.values_[i], prefix);
    int error = errno;
    if (!fd.valid() && error == EACCES) {
      fd = open_in_his_stead(source.values_[i], prefix, sender);
      error = errno;
    }
    if (!fd.valid() && leaves_prefix(error)) continue;
    allowed = true;
    source.faults_[i] =
        fd.valid() ? fault_of(fd.get(), sender, source.identities_[i]) : error;
    if (source.faults_[i] != SniSource::kFine) continue;
    source.files_[i] = std::move(fd);
    break;
  }
  return allowed;
}

int SniFiles::fault_of(int fd, const std::optional<Credentials>& sender,
                       FileIdentity& identity) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return SniSource::kNotRegular;
  identity = FileIdentity::of(status);
  if (status.st_uid != 0 && !(sender && sender->uid == status.st_uid)) {
    return SniSource::kAnothers;
  }
  if (status.st_size <= 0) return SniSource::kEmpty;
  return static_cast<std::size_t>(status.st_size) <= kFileBytesMax
             ? SniSource::kFine
             : SniSource::kTooLarge;
}

}  // namespace fealty::subscription
