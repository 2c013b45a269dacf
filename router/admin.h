#pragma once

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
#include "http/request_head.h"

namespace fealty::router {

// The admin listener: HTTP on the control thread's loop, one request a
// connection, never routed to. A connection that sends nothing within 100 ms
// gets what `GET /` gives, without a head, as uWSGI's stats sockets do.
// Bounded: kConnectionsMax at a time, kRequestBytesMax a request, kLifetimeMs a
// connection. Of Unix sockets, a connection of this process's own is closed: it
// can only be a request that a link led here. Meant for operators: it must listen where only they can reach.
class Admin {
 public:
  struct Answer {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::string_view allow{};      // the methods, with a 405
  };
  // As they came; HEAD is asked as GET. Bodies are not read.
  struct Request {
    std::string_view method;
    std::string_view path;
    std::string_view query;
  };
  using Handler = std::function<Answer(const Request& request)>;

  static constexpr std::size_t kConnectionsMax = 64;
  static constexpr std::size_t kRequestBytesMax = 8 * 1024;
  static constexpr std::int64_t kSilenceMs = 100;
  static constexpr std::int64_t kLifetimeMs = 10'000;

  Admin(Loop& loop, Handler handler);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // Before privileges are dropped.
  [[nodiscard]] Status bind(const std::vector<Address>& addresses);
  void start();
  // Where it listens: port 0 has become one.
  [[nodiscard]] const std::vector<Address>& bound() const { return bound_; }

 private:
  class Listener;
  class Connection;

  void on_connection(UniqueFd fd);
  void remove(Connection& connection);
  Loop& loop_;
  Handler handler_;
  std::vector<Address> bound_;
  std::vector<SocketFile> socket_files_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  http::RequestHead head_;         // of the request being looked at
};

// The value of `name` in a query, percent-decoded; empty where it is absent or
// malformed.
[[nodiscard]] std::string query_value(std::string_view query,
                                      std::string_view name);

}  // namespace fealty::router
