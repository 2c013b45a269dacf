#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "subscription/announcement.h"
#include "subscription/credentials.h"
#include "subscription/options.h"

namespace fealty::subscription {

// PEM texts of an announcement, from its files or from the packet itself. What
// is not there is empty. The private key's memory is wiped at the end.
class SniMaterial {
 public:
  SniMaterial() = default;
  SniMaterial(SniMaterial&& other) noexcept;
  SniMaterial& operator=(SniMaterial&& other) noexcept;
  SniMaterial(const SniMaterial&) = delete;
  SniMaterial& operator=(const SniMaterial&) = delete;
  ~SniMaterial();

  std::string key;
  std::string chain;
  std::string client_ca;
  bool client_required = false;      // sni_ca began with '!'

 private:
  void wipe();
};

// Judges and reads what sni_key, sni_crt and sni_ca point at: PEM text, or the
// path of a file within allow_sni_paths that is a regular one of at most
// kFileBytesMax, owned by the sender's uid or by root (only by root where the
// kernel did not say who sent the packet).
//
// A path counts as it is written (paths.h), below a prefix by whole components,
// and is opened from the prefix's directory with openat2: no link on the way
// leaves the prefix (absolute ones leave it), none of /proc's counts. A FIFO, a
// socket or a device does not hang the thread: it is opened without waiting and
// refused for what it is. Some three system calls a path and prefix.
//
// Where no path is allowed and none is served either (options.h), judge() and
// check() have nothing against any.
//
// Control thread only. The options must outlive it.
class SniFiles {
 public:
  static constexpr std::size_t kFileBytesMax = 64 * 1024;

  explicit SniFiles(const Options& options) : options_(options) {}

  // As far as the texts tell: no system call.
  [[nodiscard]] std::optional<Rejection> judge(
      const Announcement& announcement) const;
  // judge(), and the files are there, of the right kind and owner. Their bytes
  // are not read: a refresh costs no more than this.
  [[nodiscard]] std::optional<Rejection> check(
      const Announcement& announcement,
      const std::optional<Credentials>& sender) const;
  [[nodiscard]] Result<SniMaterial, Rejection> read(
      const Announcement& announcement,
      const std::optional<Credentials>& sender) const;

 private:
  [[nodiscard]] bool wanted() const {
    return options_.serves_sni || !options_.allow_sni_paths.empty();
  }
  [[nodiscard]] std::optional<Rejection> judge_values(
      const Announcement& announcement) const;
  // The file behind `path`, open and proven; invalid where it is refused.
  [[nodiscard]] UniqueFd open(std::string_view path,
                              const std::optional<Credentials>& sender) const;
  [[nodiscard]] bool read_value(std::string_view value,
                                const std::optional<Credentials>& sender,
                                std::string& out) const;

  const Options& options_;
};

}  // namespace fealty::subscription
