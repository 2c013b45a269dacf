#include "cli/admin_client.h"

#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "cli/check.h"

namespace fealty::cli {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  return text;
}

// The Content-Length among the lines of a head; empty where there is none.
std::optional<std::size_t> content_length(std::string_view head) {
  constexpr std::string_view kName = "content-length:";
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(line.size() + 2, head.size()));
    if (line.size() <= kName.size() ||
        ::strncasecmp(line.data(), kName.data(), kName.size()) != 0) {
      continue;
    }
    const std::string_view value = trimmed(line.substr(kName.size()));
    std::size_t length = 0;
    const auto [stop, error] =
        std::from_chars(value.data(), value.data() + value.size(), length);
    if (error == std::errc{}) return length;
  }
  return std::nullopt;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// Until the other side closes. False with errno where something went wrong.
bool receive_all(int fd, std::string& out) {
  std::vector<char> piece(kPieceBytes);
  for (;;) {
    const ssize_t got = ::recv(fd, piece.data(), piece.size(), 0);
    if (got == 0) return true;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    out.append(piece.data(), static_cast<std::size_t>(got));
    if (out.size() > AdminClient::kAnswerBytesMax) {
      errno = EFBIG;
      return false;
    }
  }
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || kPlain.find(c) != kPlain.npos;
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

Result<AdminAnswer> parse_answer(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == bytes.npos) return Error{"what answers there does not speak HTTP"};
  const std::string_view head = bytes.substr(0, end + 2);
  AdminAnswer answer;
  answer.status = http_status(std::string(head));
  if (answer.status < 100) {
    return Error{"what answers there does not speak HTTP"};
  }
  answer.body = bytes.substr(end + 4);
  const auto length = content_length(head);
  if (length && answer.body.size() < *length) {
    return Error{"the answer ends after " + std::to_string(answer.body.size()) +
                 " of " + std::to_string(*length) + " bytes"};
  }
  return answer;
}

Error AdminClient::failed(std::string_view what, int error) const {
  std::string text = whose_ + " admin listener at " + address_.to_string() +
                     " " + std::string(what) + ": " + std::strerror(error);
  if (error == ECONNREFUSED || error == ENOENT) {
    text += "; does it run, and is this its `admin` address (--admin)?";
  } else if (error == EAGAIN || error == EWOULDBLOCK) {
    text = whose_ + " admin listener at " + address_.to_string() +
           " says nothing for " + std::to_string(kLimit_ms / 1000) + " s";
  }
  return Error{std::move(text)};
}

Result<AdminAnswer> AdminClient::request(std::string_view method,
                                         std::string_view target) const {
  const UniqueFd fd(
      ::socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return failed("cannot be asked", errno);
  const timeval limit{kLimit_ms / 1000, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), address_.data(), address_.length()) != 0) {
    return failed("cannot be reached", errno);
  }
  const std::string text = std::string(method) + " " + std::string(target) +
                           " HTTP/1.1\r\nHost: localhost\r\n"
                           "Content-Length: 0\r\nConnection: close\r\n\r\n";
  if (!send_all(fd.get(), text)) return failed("takes no request", errno);
  std::string bytes;
  if (!receive_all(fd.get(), bytes)) return failed("breaks off", errno);
  auto answer = parse_answer(bytes);
  if (!answer) return Error{address_.to_string() + ": " + answer.error().message};
  return answer;
}

}  // namespace fealty::cli
