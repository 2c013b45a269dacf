#include "subscription/sni_files.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
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

void append_number(std::string& to, std::uint64_t number) {
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void append_time(std::string& to, const timespec& time) {
  append_number(to, static_cast<std::uint64_t>(time.tv_sec));
  append_number(to, static_cast<std::uint64_t>(time.tv_nsec));
}

bool is_his_file(int fd, const std::optional<Credentials>& sender,
                 FileIdentity& identity) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  identity = FileIdentity::of(status);
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
  for (const FileIdentity& file : identities_) {
    append_number(state, file.device);
    append_number(state, file.inode);
    append_number(state, static_cast<std::uint64_t>(file.bytes));
    append_time(state, file.modified);
    append_time(state, file.changed);
  }
  return state;
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
    source.files_[i] =
        open_file(source.values_[i], sender, source.identities_[i]);
    if (!source.files_[i].valid()) return Rejection::kSniNotAllowed;
  }
  return source;
}

UniqueFd SniFiles::open_file(std::string_view path,
                             const std::optional<Credentials>& sender,
                             FileIdentity& identity) const {
  for (const std::string& prefix : options_.allow_sni_paths) {
    if (!path_within(path, prefix)) continue;
    UniqueFd fd = open_within(path, prefix,
                              O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd.valid() && is_his_file(fd.get(), sender, identity)) return fd;
  }
  return {};
}

}  // namespace fealty::subscription
