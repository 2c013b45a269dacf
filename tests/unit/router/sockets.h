#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/address.h"
#include "base/fd.h"
#include "wire/uwsgi_packet.h"

// Both ends of a test: clients that write HTTP and nodes that read packets.
namespace fealty::test {

// The longest that any test waits for what must come.
inline constexpr auto kPatience = std::chrono::seconds(20);

// Looks again until `condition` holds; false where patience ends first.
template <typename Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

class TempDir {
 public:
  TempDir() {
    std::string name = "/tmp/fealty-router-test-XXXXXX";
    path_ = ::mkdtemp(name.data()) != nullptr ? name : "";
    EXPECT_NE(path_, "");
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const {
    return path_ + "/" + std::string(name);
  }

 private:
  std::string path_;
};

inline Address address_of(std::string_view text) {
  auto address = Address::parse(text);
  EXPECT_TRUE(address) << text;
  return *address;
}

// One end of a stream, nonblocking. What was read is kept in `received` until
// it is taken.
class Peer {
 public:
  Peer() = default;
  explicit Peer(UniqueFd fd) : fd_(std::move(fd)) {
    ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool open() const { return fd_.valid(); }
  // All that the peer has ended with: 0 after a regular end, errno otherwise.
  [[nodiscard]] std::optional<int> end() const { return end_; }
  [[nodiscard]] bool ended() { return read(), end_.has_value(); }

  // As much as the socket takes now.
  std::size_t send_some(std::string_view text) {
    const ssize_t sent =
        ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  void send(std::string_view text) { EXPECT_EQ(send_some(text), text.size()); }
  // At most this much of what is there now; false where nothing is.
  bool read_some(std::size_t most) {
    if (end_) return false;
    char bytes[16 * 1024];
    const ssize_t count =
        ::recv(fd_.get(), bytes, std::min(most, sizeof bytes), 0);
    if (count > 0) {
      received_.append(bytes, static_cast<std::size_t>(count));
      return true;
    }
    if (count == 0 || errno != EAGAIN) end_ = count == 0 ? 0 : errno;
    return false;
  }
  // What is there now.
  void read() {
    while (read_some(SIZE_MAX)) {
    }
  }
  std::string take() {
    read();
    return std::exchange(received_, {});
  }
  [[nodiscard]] const std::string& received() const { return received_; }

  // For peers of a router on a thread of its own.
  bool wait_for(std::string_view text) {
    return eventually([&] {
      read();
      return received_.find(text) != std::string::npos;
    });
  }
  bool wait_for_end() {
    return eventually([&] { return ended(); });
  }

  void shut_down_writing() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  // TCP: closes with a reset.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_.reset();
  }

 private:
  UniqueFd fd_;
  std::string received_;
  std::optional<int> end_;
};

inline std::pair<UniqueFd, UniqueFd> unix_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                         ends),
            0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Listens anew; `backlog` as listen() takes it.
inline UniqueFd listen_at(const Address& address, int backlog = 128) {
  UniqueFd fd(::socket(address.family(),
                       SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  EXPECT_EQ(::bind(fd.get(), address.data(), address.length()), 0)
      << address.to_string() << ": " << std::strerror(errno);
  EXPECT_EQ(::listen(fd.get(), backlog), 0);
  return fd;
}

inline Address bound_to(int fd) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &bytes),
            0);
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), bytes);
}

// A connection to `address` that has come about.
inline UniqueFd connect_to(const Address& address) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), address.data(), address.length()), 0)
      << address.to_string() << ": " << std::strerror(errno);
  return fd;
}

// Both ends of a TCP connection.
inline std::pair<UniqueFd, UniqueFd> tcp_pair() {
  const UniqueFd listener = listen_at(address_of("127.0.0.1:0"));
  UniqueFd client = connect_to(bound_to(listener.get()));
  UniqueFd server;
  eventually([&] {
    server.reset(::accept4(listener.get(), nullptr, nullptr,
                           SOCK_CLOEXEC | SOCK_NONBLOCK));
    return server.valid();
  });
  return {std::move(server), std::move(client)};
}

using Variables = std::multimap<std::string, std::string>;

inline Variables decode_variables(std::string_view data) {
  Variables variables;
  wire::UwsgiPairReader reader(data);
  wire::UwsgiPair pair;
  auto step = reader.next(pair);
  for (; step == wire::UwsgiPairReader::Step::kPair; step = reader.next(pair)) {
    variables.emplace(pair.key, pair.value);
  }
  EXPECT_EQ(step, wire::UwsgiPairReader::Step::kEnd);
  return variables;
}

// What a node has been sent: the packet, and the body as far as it has come.
struct NodeRequest {
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  Variables variables;
  std::string body;

  // The one value of `name`; "(none)" or "(many)" where there is not one.
  [[nodiscard]] std::string operator[](const std::string& name) const {
    switch (variables.count(name)) {
      case 0: return "(none)";
      case 1: return variables.find(name)->second;
      default: return "(many)";
    }
  }
};

// A connection that a node has accepted.
class NodePeer : public Peer {
 public:
  using Peer::Peer;

  // Empty until the whole packet is there; the body may follow.
  std::optional<NodeRequest> request() {
    read();
    const auto header = wire::decode_uwsgi_header(received());
    const std::string_view all = received();
    if (!header || all.size() < wire::kUwsgiHeaderBytes + header->data_bytes) {
      return std::nullopt;
    }
    return NodeRequest{
        header->modifier1, header->modifier2,
        decode_variables(
            all.substr(wire::kUwsgiHeaderBytes, header->data_bytes)),
        std::string(all.substr(wire::kUwsgiHeaderBytes + header->data_bytes))};
  }
  // Waits for it; for routers on a thread of their own.
  NodeRequest wait_for_request() {
    std::optional<NodeRequest> found;
    EXPECT_TRUE(eventually([&] { return (found = request()).has_value(); }));
    return found.value_or(NodeRequest{});
  }
  void answer(std::string_view text) {
    send(text);
    close();
  }
};

// An application: a listening socket whose connections the test serves.
class FakeNode {
 public:
  explicit FakeNode(std::string_view address, int backlog = 128)
      : listener_(listen_at(address_of(address), backlog)),
        address_(bound_to(listener_.get())) {}

  [[nodiscard]] const Address& address() const { return address_; }
  // Empty where nobody has connected.
  std::optional<NodePeer> accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) return std::nullopt;
    return NodePeer(std::move(fd));
  }
  NodePeer wait_for_connection() {
    std::optional<NodePeer> peer;
    EXPECT_TRUE(eventually([&] { return (peer = accept()).has_value(); }));
    return peer ? std::move(*peer) : NodePeer();
  }
  void stop_listening() { listener_.reset(); }

 private:
  UniqueFd listener_;
  Address address_;
};

}  // namespace fealty::test
