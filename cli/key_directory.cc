#include "cli/key_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/fd.h"

namespace fealty::cli {
namespace {

constexpr const char* kManifest = ".fealty-keys";
// What is being written; no domain has such a name. One is enough: who writes has
// the directory's lock.
constexpr const char* kUnfinished = "~unfinished";
constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----\n";
constexpr std::size_t kKeyBytesMax = 16'384;
constexpr std::size_t kManifestBytesMax = std::size_t{64} << 20;
using Wanted = std::map<std::string, std::string>;   // file name, contents

bool is_domain(std::string_view name) {
  return !name.empty() && name.size() <= 254 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") ==
             name.npos &&
         name.find("..") == name.npos && name != ".";
}

Result<Wanted> read_list(std::string_view text) {
  const Error broken{"what the API lists makes no sense; nothing was changed"};
  const auto list = nlohmann::json::parse(text, nullptr, false);
  if (!list.is_array()) return broken;
  Wanted wanted;
  for (const auto& customer : list) {
    if (!customer.is_object()) return broken;
    const auto key = customer.find("rsa");
    const auto domains = customer.find("domains");
    if (key == customer.end() || !key->is_string() ||
        domains == customer.end() || !domains->is_array()) {
      return broken;
    }
    const std::string pem = *key;
    if (!pem.starts_with(kBegin) || pem.size() > kKeyBytesMax) return broken;
    for (const auto& domain : *domains) {
      if (!domain.is_object() || !domain.contains("name") ||
          !domain["name"].is_string() ||
          !is_domain(domain["name"].get_ref<const std::string&>())) {
        return broken;
      }
      wanted[domain["name"].get<std::string>() + ".pem"] = pem;
    }
  }
  return wanted;
}

// The directory, held open: what is written lands in it whatever its path leads
// to by then.
class Directory {
 public:
  explicit Directory(const std::string& path)
      : path_(path),
        fd_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

  [[nodiscard]] Status lock() const {
    if (!fd_.valid() || ::flock(fd_.get(), LOCK_EX) != 0) return failed("");
    return Ok{};
  }
  [[nodiscard]] std::string read(const std::string& name,
                                 std::size_t bytes_max) const {
    const UniqueFd file(::openat(fd_.get(), name.c_str(),
                                 O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    std::string text;
    char piece[16'384];
    while (file.valid() && text.size() <= bytes_max) {
      const ssize_t got = ::read(file.get(), piece, sizeof piece);
      if (got <= 0) break;
      text.append(piece, static_cast<std::size_t>(got));
    }
    return text;
  }
  [[nodiscard]] Status replace(const std::string& name,
                               std::string_view text) const {
    UniqueFd file(::openat(fd_.get(), kUnfinished,
                           O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                           0644));
    std::string_view rest = text;
    while (file.valid() && !rest.empty()) {
      const ssize_t wrote = ::write(file.get(), rest.data(), rest.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return failed(kUnfinished);
      rest.remove_prefix(static_cast<std::size_t>(wrote));
    }
    if (!file.valid() || ::fchmod(file.get(), 0644) != 0 ||
        ::fsync(file.get()) != 0 ||
        ::renameat(fd_.get(), kUnfinished, fd_.get(), name.c_str()) != 0) {
      return failed(name);
    }
    return Ok{};
  }
  // What was renamed and removed until now stays so over a loss of power.
  [[nodiscard]] Status sync() const {
    if (::fsync(fd_.get()) != 0) return failed("");
    return Ok{};
  }
  [[nodiscard]] Status remove(const std::string& name) const {
    if (::unlinkat(fd_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return failed(name);
    }
    return Ok{};
  }

 private:
  [[nodiscard]] Error failed(const std::string& name) const {
    return Error{path_ + "/" + name + ": " + std::strerror(errno)};
  }

  const std::string path_;
  const UniqueFd fd_;
};

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.ends_with(".pem") && is_domain(line.substr(0, line.size() - 4))) {
      lines.insert(line);
    }
    at = end + 1;
  }
  return lines;
}

Status write_manifest(const Directory& directory,
                      const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  Status status = directory.replace(kManifest, text);
  return status ? directory.sync() : status;
}

// Why so many are not taken away; "": they may be.
std::string too_many_of(std::size_t removed, std::size_t all, bool none_stays) {
  const bool is_most = none_stays || (all > kFewKeys && removed > all / 2);
  if (removed == 0 || !is_most) return {};
  return "the API lists so little that " + std::to_string(removed) + " of " +
         std::to_string(all) +
         " keys would go; nothing was changed: --force if that is so";
}

}  // namespace

Result<SyncedKeys> sync_key_directory(const std::string& path,
                                      std::string_view listed, bool force) {
  const auto wanted = read_list(listed);
  if (!wanted) return wanted.error();
  const Directory directory(path);
  Status status = directory.lock();
  if (!status) return status.error();
  const std::set<std::string> ours =
      lines_of(directory.read(kManifest, kManifestBytesMax));

  const auto removed = static_cast<std::size_t>(
      std::count_if(ours.begin(), ours.end(), [&](const std::string& name) {
        return !wanted->contains(name);
      }));
  const std::string problem = too_many_of(removed, ours.size(), wanted->empty());
  if (!force && !problem.empty()) return Error{problem};

  // Every file that may be ours stands in the manifest before it is there.
  std::set<std::string> names = ours;
  for (const auto& [name, pem] : *wanted) names.insert(name);
  if (names != ours) status = write_manifest(directory, names);
  if (!status) return status.error();

  SyncedKeys out;
  for (const auto& [name, pem] : *wanted) {
    if (directory.read(name, kKeyBytesMax) == pem) {
      ++out.kept;
      continue;
    }
    status = directory.replace(name, pem);
    if (!status) return status.error();
    ++out.written;
  }
  for (const std::string& name : ours) {
    if (wanted->contains(name)) continue;
    status = directory.remove(name);
    if (!status) return status.error();
    names.erase(name);
    ++out.removed;
  }
  // The files first, then the manifest that no longer names them.
  status = directory.sync();
  if (status && out.removed > 0) status = write_manifest(directory, names);
  if (!status) return status.error();
  return out;
}

}  // namespace fealty::cli
