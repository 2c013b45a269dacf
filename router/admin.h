#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
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

  class Listener;
  using Listeners = std::vector<std::shared_ptr<Listener>>;
  // Binds the addresses that are not bound already; changes nothing else. The
  // first time before privileges are dropped.
  [[nodiscard]] Result<Listeners> prepare(
      const std::vector<Address>& addresses);
  // Listens on these, and on these only, once it was started. What waits to be
  // accepted elsewhere is still accepted.
  void adopt(Listeners listeners);
  void start();
  // A successor takes over: the sockets, by address as configured; their files
  // are its own then. And the same of its side, before the first prepare().
  [[nodiscard]] std::vector<std::pair<Address, int>> sockets() const;
  void leave_files();
  void inherit(const Address& address, UniqueFd socket);
  // Where `listeners` are bound: port 0 has become one.
  [[nodiscard]] static std::vector<Address> bound(const Listeners& listeners);

 private:
  class Connection;

  void on_connection(UniqueFd fd);
  void remove(Connection& connection);
  Loop& loop_;
  Handler handler_;
  bool started_ = false;
  Listeners listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  http::RequestHead head_;         // of the request being looked at
};

// The value of `name` in a query, percent-decoded; empty where it is absent or
// malformed.
[[nodiscard]] std::string query_value(std::string_view query,
                                      std::string_view name);

}  // namespace fealty::router
