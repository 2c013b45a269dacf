#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "api/answer.h"
#include "api/options.h"
#include "api/request.h"
#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "base/socket_file.h"

namespace fealty::api {

// One listening socket: a thread that reads requests and writes answers for all
// its connections (api/http_connection.h), and threads that answer what was read.
// So whoever sends or takes slowly holds none of those. HTTP/1.1, one request a
// connection; the head and the body together have kReadMs, an answer kWriteMs. Who
// follows events stays, and holds a connection alone.
//
// Bounds: kHeadBytesMax, kBodyBytesMax (api/options.h), `connections` at a time,
// of a client's network `per_network` (429 beyond); the rest is in the kernel's
// queue. Of large answers that nobody has taken yet kWaitingBytesMax, for a network
// kNetworkWaitingMax (503 beyond). Of the followers one customer or server has
// kFollowersEach at most, and a quarter is kept for servers.
//
//   bind() → start() → stop(): no new requests; waits for those under way.
//
// A successor inherits the socket (base/successor.h): what waits in it is answered
// there.
class HttpServer {
 public:
  static constexpr std::size_t kHeadBytesMax = 32'768;
  static constexpr std::int64_t kReadMs = 10'000;
  static constexpr std::int64_t kWriteMs = 30'000;
  static constexpr std::size_t kWaitingBytesMax = std::size_t{256} << 20;
  static constexpr std::size_t kNetworkWaitingMax = std::size_t{64} << 20;
  static constexpr std::size_t kFollowersEach = 16;

  struct Settings {
    Address address;
    mode_t mode = 0660;             // of a Unix socket's file
    Entrance entrance = Entrance::kPublic;
    std::size_t threads = 4;
    std::size_t connections = 64;
    std::size_t per_network = 64;
    std::size_t followers = 8;      // of the connections
    // Whose word on the client counts; asked with each request.
    std::function<bool(const Address&)> trusts = nullptr;
  };
  // What is done with requests, on the threads behind the listener.
  struct Handlers {
    // With the head alone, before the body is waited for: may refuse it, and notes
    // in the request who asks.
    std::function<std::optional<Answer>(Request&)> admit;
    std::function<Answer(Request&)> answer;
    // What happened after an event, for those who follow: asked twice a second
    // while there are any, once for all of them.
    std::function<std::vector<Event>(std::int64_t)> events;
    // What the service writes to every answer, for one that is given before a
    // request could be read.
    std::function<void(Entrance, Answer&)> complete;
  };

  HttpServer(Settings settings, Handlers handlers);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // In place of bind()'s: a socket that listens there already. Its file is another
  // process's until own_file().
  void inherit(UniqueFd socket);
  void own_file();
  [[nodiscard]] Status bind();
  [[nodiscard]] int socket() const { return number_; }
  // Before stop(): the socket and its file are a successor's, which takes who waits.
  void leave();
  void start();
  void stop();

 private:
  class Listener;
  Settings settings_;
  Handlers handlers_;
  UniqueFd socket_;               // until start()
  int number_ = -1;               // its descriptor's, and stays that
  SocketFile file_;
  std::unique_ptr<Listener> listener_;
  std::thread thread_;
};

}  // namespace fealty::api
