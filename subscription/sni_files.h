#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "subscription/announcement.h"
#include "subscription/credentials.h"
#include "subscription/file_identity.h"
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

// What an announcement says of certificates, opened and proven but not read.
// Views the packet: it lives no longer than that.
class SniSource {
 public:
  SniSource() = default;

  // It says anything at all.
  [[nodiscard]] bool any() const {
    return client_required_ || !values_[0].empty() || !values_[1].empty() ||
           !values_[2].empty();
  }
  // It demands a certificate of each client.
  [[nodiscard]] bool client_required() const { return client_required_; }
  // Why it cannot be read, for people; "": it can. The packet counts all the
  // same: a domain does not go away because its certificate cannot be renewed.
  [[nodiscard]] std::string problem() const;
  // Who speaks: the paths, or the texts themselves. The same node's next
  // announcement has the same name as long as it names the same files.
  [[nodiscard]] std::string name() const;
  // What it would read, as far as that can be told without reading: equal for
  // equal files, another one once a file was written or exchanged.
  [[nodiscard]] std::string state() const;
  // False where a file changed so lately that state() may not tell.
  [[nodiscard]] bool settled() const;
  // The bytes, at most SniFiles::kFileBytesMax a file; kSniNotAllowed where a
  // file became shorter meanwhile.
  [[nodiscard]] Result<SniMaterial, Rejection> read() const;

 private:
  friend class SniFiles;
  static constexpr std::size_t kValues = 3;     // key, chain, client CA

  // What is wrong with a file: one of errno's numbers, or one of these.
  static constexpr int kFine = 0;
  static constexpr int kNotRegular = -1;
  static constexpr int kAnothers = -2;
  static constexpr int kEmpty = -3;
  static constexpr int kTooLarge = -4;

  [[nodiscard]] bool read_value(std::size_t i, std::string& out) const;

  std::array<std::string_view, kValues> values_;
  std::array<UniqueFd, kValues> files_;         // of those that are paths
  std::array<FileIdentity, kValues> identities_;
  std::array<int, kValues> faults_{};
  bool client_required_ = false;
};

// Judges and opens what sni_key, sni_crt and sni_ca point at: PEM text, or the
// path of a file within allow_sni_paths that is a regular one of at most
// kFileBytesMax, owned by the sender's uid or by root (only by root where the
// kernel did not say who sent the packet).
//
// A path counts as it is written (paths.h), below a prefix by whole components,
// and is opened from the prefix's directory with openat2: no link on the way
// leaves the prefix (absolute ones leave it), none of /proc's counts. A FIFO, a
// socket or a device does not hang the thread: it is opened without waiting and
// told for what it is. Some three system calls a path and prefix.
//
// A path that may not be named at all refuses the packet; a file that is not
// there, or not his, is a problem of the material's, and the node counts.
//
// Where no path is allowed, none is served (options.h) and none passed on, nothing
// is looked at.
//
// Control thread only. The options must outlive it.
class SniFiles {
 public:
  static constexpr std::size_t kFileBytesMax = 64 * 1024;

  explicit SniFiles(const Options& options) : options_(options) {}

  // As far as the texts tell: no system call.
  [[nodiscard]] std::optional<Rejection> judge(
      const Announcement& announcement) const;
  // judge(), and no link leads a path out of its prefix; opened as far as the
  // files are there, of the right kind and owner.
  [[nodiscard]] Result<SniSource, Rejection> open(
      const Announcement& announcement,
      const std::optional<Credentials>& sender) const;

 private:
  [[nodiscard]] bool wanted() const {
    return options_.serves_sni || !options_.allow_sni_paths.empty() ||
           !options_.resubscribe.empty();
  }
  // Opens and proves value `i` of `source`, or notes what is wrong with its
  // file. False: it leaves the prefix.
  [[nodiscard]] bool open_file(SniSource& source, std::size_t i,
                               const std::optional<Credentials>& sender) const;
  [[nodiscard]] static int fault_of(int fd,
                                    const std::optional<Credentials>& sender,
                                    FileIdentity& identity);

  const Options& options_;
};

}  // namespace fealty::subscription
