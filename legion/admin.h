#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/socket_file.h"

namespace fealty::legion {

// The member's admin listener: GET over HTTP, one request a connection, and the
// stats alone for a connection that says nothing within kSilence_ms, as uWSGI's
// stats sockets have it. It reads no more of a request than method and path.
// Bounded: kConnectionsMax at a time, kRequestBytesMax a request, kLifetime_ms a
// connection. On the loop's thread. For operators: it must listen where only
// they can reach.
class Admin {
 public:
  struct Answer {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
  };
  using Handler = std::function<Answer(std::string_view path)>;

  static constexpr std::size_t kConnectionsMax = 64;
  static constexpr std::size_t kRequestBytesMax = 8 * 1024;
  static constexpr std::int64_t kSilence_ms = 100;
  static constexpr std::int64_t kLifetime_ms = 10'000;

  Admin(Loop& loop, Handler handler);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // Before privileges are dropped.
  [[nodiscard]] Status bind(const std::vector<Address>& addresses);
  void start();

 private:
  class Connection;
  struct Listener {
    Admin* admin = nullptr;
    UniqueFd fd;
    IoWatcher io;
    void on_readable(int events);
  };

  void remove(Connection& connection);
  void on_sweep();

  Loop& loop_;
  Handler handler_;
  TimerWatcher sweep_;
  std::vector<SocketFile> socket_files_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// The method and the path (without its query) of a request's first line; empty
// views where it is none.
struct RequestLine {
  std::string_view method;
  std::string_view path;
};
[[nodiscard]] RequestLine parse_request_line(std::string_view head);

}  // namespace fealty::legion
