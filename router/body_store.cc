#include "router/body_store.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace fealty::router {
namespace {

// O_TMPFILE where the file system has it; else a name that is removed at once.
UniqueFd make_unlinked_file(const std::string& directory) {
  UniqueFd file(
      ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid() || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  std::string name = directory + "/fealty-body-XXXXXX";
  file.reset(::mkostemp(name.data(), O_CLOEXEC));
  if (file.valid()) ::unlink(name.c_str());
  return file;
}

}  // namespace

bool BodyStore::append(std::span<const char> bytes) {
  const std::size_t in_memory =
      std::min(bytes.size(), memory_bytes_ - memory_.size());
  memory_.insert(memory_.end(), bytes.begin(),
                 bytes.begin() + static_cast<std::ptrdiff_t>(in_memory));
  if (!append_to_file(bytes.subspan(in_memory))) return false;
  size_ += bytes.size();
  return true;
}

bool BodyStore::append_to_file(std::span<const char> bytes) {
  if (bytes.empty()) return true;
  if (!file_.valid()) file_ = make_unlinked_file(temp_dir_);
  if (!file_.valid()) return false;
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

IoResult BodyStore::write_to(Stream& stream) {
  if (sent_ == size_) return {IoResult::Kind::kEnd, 0, 0};
  IoResult result;
  if (sent_ < memory_.size()) {
    result = stream.write(std::span<const char>(memory_).subspan(sent_));
  } else {
    constexpr std::uint64_t kAtOnce = 1024 * 1024;
    auto offset = static_cast<off_t>(sent_ - memory_.size());
    result = stream.send_file(
        file_.get(), offset,
        static_cast<std::size_t>(std::min(size_ - sent_, kAtOnce)));
    // A file that became shorter than what was written to it.
    if (result.end()) return {IoResult::Kind::kError, 0, EIO};
  }
  if (result.ok()) sent_ += result.bytes;
  return result;
}

}  // namespace fealty::router
