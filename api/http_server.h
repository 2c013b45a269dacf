#pragma once

#include <functional>
#include <memory>
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

// One listening socket and the threads behind it: HTTP/1.1 by cpp-httplib, one
// request a connection, so that an idle one holds no thread. Bodies are read up
// to kBodyBytesMax and no further. Requests beyond the threads wait in the
// kernel's queue.
//
//   bind() → start() → stop(): no new requests; waits for those under way.
class HttpServer {
 public:
  using Handle = std::function<Answer(const Request&)>;
  struct Settings {
    Address address;
    mode_t mode = 0660;             // of a Unix socket's file
    Entrance entrance = Entrance::kPublic;
    std::size_t threads = 4;
    std::vector<Network> trusted;   // whose word on the client counts
  };

  HttpServer(Settings settings, Handle handle);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] Status bind();
  void start();
  void stop();

 private:
  class Server;
  Settings settings_;
  Handle handle_;
  UniqueFd socket_;
  SocketFile file_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace fealty::api
