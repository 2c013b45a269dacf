#include "router/error_page.h"

#include <spdlog/fmt/fmt.h>

#include <array>

#include "base/check.h"

namespace fealty::router {

std::string_view status_title(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 301: return "Moved Permanently";
    case 308: return "Permanent Redirect";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
  }
}

std::size_t write_error_page(const ErrorPage& page, std::span<char> out) {
  FEALTY_CHECK(out.size() >= kErrorPageBytesMax);
  const std::string_view title = status_title(page.status);
  std::array<char, kErrorPageBytesMax / 2> body;
  const auto body_end =
      fmt::format_to_n(body.data(), body.size(),
                       "<!DOCTYPE html>\n<title>{0} {1}</title>\n"
                       "<h1>{0} {1}</h1>\n<p>{2}</p>\n"
                       "<p><small>request id {3:016x}</small></p>\n",
                       page.status, title, page.reason, page.request_id)
          .out;
  const auto body_bytes = static_cast<std::size_t>(body_end - body.data());
  fmt::string_view retry;
  if (page.status == 503) retry = "Retry-After: 5\r\n";
  static_assert(kRetryAfterSeconds == 5);
  const auto end =
      fmt::format_to_n(
          out.data(), out.size(),
          "HTTP/1.1 {} {}\r\nContent-Type: text/html; charset=utf-8\r\n"
          "Content-Length: {}\r\nCache-Control: no-store\r\n"
          "X-Request-Id: {:016x}\r\n{}Connection: {}\r\n\r\n{}",
          page.status, title, body_bytes, page.request_id, retry,
          page.keep_alive ? "keep-alive" : "close",
          fmt::string_view(body.data(), page.head_only ? 0 : body_bytes))
          .out;
  return static_cast<std::size_t>(end - out.data());
}

std::size_t write_redirect(const Redirect& redirect, std::span<char> out) {
  const std::string_view title = status_title(redirect.status);
  const auto end =
      fmt::format_to_n(out.data(), out.size(),
                       "HTTP/1.1 {} {}\r\nLocation: https://{}{}{}{}\r\n"
                       "Content-Length: 0\r\nConnection: {}\r\n\r\n",
                       redirect.status, title, redirect.authority,
                       redirect.path, redirect.query.empty() ? "" : "?",
                       redirect.query,
                       redirect.keep_alive ? "keep-alive" : "close");
  return end.size > out.size() ? 0 : end.size;
}

}  // namespace fealty::router
