#include "subscription/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support.h"

namespace fealty::subscription {
namespace {

using test::address_of;
using test::encode;
using test::FakeClock;
using test::Pairs;
using test::plain_pairs;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;

// A datagram socket of a vassal's, bound to `path` if that is given.
class Peer {
 public:
  explicit Peer(const std::string& path = "")
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (path.empty()) return;
    const Address own = address_of(path);
    EXPECT_EQ(::bind(fd_.get(), own.data(), own.length()), 0);
  }
  void send(const Address& to, std::string_view packet) {
    UniqueFd udp;
    int fd = fd_.get();
    if (to.is_ip()) {
      udp.reset(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
      fd = udp.get();
    }
    EXPECT_EQ(::sendto(fd, packet.data(), packet.size(), 0, to.data(),
                       to.length()),
              static_cast<ssize_t>(packet.size()))
        << std::strerror(errno);
  }
  // What came, or "" if nothing is there.
  std::string receive() {
    char bytes[1024];
    const ssize_t size =
        ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(bytes, static_cast<std::size_t>(size));
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() { path_ = dir_ / "subscribe"; }
  ~ServerTest() override { server_.reset(); }

  Server& make(std::vector<ServerSocket> sockets) {
    options_.servers = std::move(sockets);
    server_.emplace(loop_, clock_, options_);
    return *server_;
  }
  // A server on `path_`, reading.
  Server& serve() {
    make({{address_of(path_), std::nullopt}});
    const Status bound = server_->bind();
    EXPECT_TRUE(bound) << (bound ? "" : bound.error().message);
    start();
    return *server_;
  }
  // A server on some UDP port that is free at the moment; another one if
  // somebody was faster.
  void serve_udp() {
    for (int attempt = 0; attempt < 10; ++attempt) {
      UniqueFd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const Address any = address_of("127.0.0.1:0");
      ASSERT_EQ(::bind(probe.get(), any.data(), any.length()), 0);
      sockaddr_storage bound{};
      socklen_t length = sizeof bound;
      ASSERT_EQ(::getsockname(probe.get(),
                              reinterpret_cast<sockaddr*>(&bound), &length),
                0);
      const auto address = Address::from_sockaddr(
          reinterpret_cast<const sockaddr*>(&bound), length);
      probe.reset();
      make({{address, std::nullopt}});
      if (server_->bind()) break;
    }
    start();
  }
  void start() {
    server_->start([this](std::shared_ptr<const Snapshot> snapshot) {
      EXPECT_GT(snapshot->version(), snapshot_->version());
      snapshot_ = std::move(snapshot);
      ++published_;
    });
  }

  void send(std::string_view packet) {
    peer_.send(options_.servers.front().address, packet);
  }
  void subscribe(const std::string& key, const std::string& node) {
    send(encode(plain_pairs(key, node)));
  }
  void unsubscribe(const std::string& key, const std::string& node) {
    send(encode(plain_pairs(key, node), 1));
  }

  // Runs the loop until `condition`; false if that takes 10 s. The server's
  // own timer ends each turn.
  bool run_until(const std::function<bool()>& condition) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop_.run_once();
    }
    return true;
  }
  bool run_until_packets(std::uint64_t count) {
    return run_until([&] { return server_->counters().packets >= count; });
  }
  bool run_until_published(int count) {
    return run_until([&] { return published_ >= count; });
  }
  [[nodiscard]] std::uint64_t rejected(Rejection reason) const {
    return server_->refusals().total()[static_cast<std::size_t>(reason)];
  }
  std::vector<std::string> routed(const std::string& key) {
    std::vector<std::string> names;
    if (const auto* pool = snapshot_->find_exact(key)) {
      for (const Node& node : pool->nodes()) names.emplace_back(node.name());
    }
    return names;
  }
  std::string bind_error() {
    make({{address_of(path_), std::nullopt}});
    const Status bound = server_->bind();
    return bound ? "bound" : bound.error().message;
  }

  TempDir dir_;
  std::string path_;
  Loop loop_;
  FakeClock clock_;
  Options options_;
  Peer peer_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
  int published_ = 0;
  std::optional<Server> server_;
};

TEST_F(ServerTest, UnixPacketIsPublished) {
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/1"));
  EXPECT_EQ(server_->counters().accepted, 1U);
}

TEST_F(ServerTest, UdpPacketIsPublished) {
  serve_udp();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/1"));
}

TEST_F(ServerTest, AllSocketsAreRead) {
  const std::string other = dir_ / "other";
  make({{address_of(path_), std::nullopt}, {address_of(other), std::nullopt}});
  ASSERT_TRUE(server_->bind());
  start();
  subscribe("one", "/run/1");
  peer_.send(address_of(other), encode(plain_pairs("two", "/run/2")));
  ASSERT_TRUE(run_until([&] { return server_->table().node_count() == 2; }));
}

TEST_F(ServerTest, PacketThatCameBeforeTheStartIsRead) {
  make({{address_of(path_), std::nullopt}});
  ASSERT_TRUE(server_->bind());
  subscribe("example.com", "/run/1");
  start();
  EXPECT_TRUE(run_until_published(1));
}

TEST_F(ServerTest, SocketFileHasTheModeWhateverTheUmask) {
  for (const mode_t mode : {0666U, 0600U, 0660U}) {
    const mode_t umask_before = ::umask(0077);
    make({{address_of(path_), mode}});
    const Status bound = server_->bind();
    ::umask(umask_before);
    ASSERT_TRUE(bound);
    struct stat status{};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, mode);
    server_.reset();
  }
}

TEST_F(ServerTest, StaleSocketFileIsReplaced) {
  { const Peer ended(path_); }
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  EXPECT_EQ(bind_error(), "bound");
}

TEST_F(ServerTest, StaleStreamSocketFileIsReplaced) {
  {
    const UniqueFd stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const Address at = address_of(path_);
    ASSERT_EQ(::bind(stream.get(), at.data(), at.length()), 0);
  }
  EXPECT_EQ(bind_error(), "bound");
}

TEST_F(ServerTest, LiveSocketIsAnErrorAndStays) {
  Peer living(path_);
  EXPECT_THAT(bind_error(), HasSubstr("another process is listening"));
  peer_.send(address_of(path_), "still there");
  EXPECT_EQ(living.receive(), "still there");
}

TEST_F(ServerTest, LiveStreamSocketIsAnErrorAndStays) {
  const UniqueFd stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address at = address_of(path_);
  ASSERT_EQ(::bind(stream.get(), at.data(), at.length()), 0);
  ASSERT_EQ(::listen(stream.get(), 1), 0);
  EXPECT_THAT(bind_error(), HasSubstr("another process is listening"));
}

TEST_F(ServerTest, OtherKindOfFileIsAnErrorAndStays) {
  test::write_file(path_, "precious");
  EXPECT_THAT(bind_error(), HasSubstr("is no socket"));
  EXPECT_EQ(test::read_file(path_), "precious");
}

TEST_F(ServerTest, MissingDirectoryIsSaid) {
  path_ = dir_ / "missing/subscribe";
  EXPECT_THAT(bind_error(),
              testing::AllOf(HasSubstr(path_),
                             HasSubstr("create the directory")));
}

TEST_F(ServerTest, SocketFileGoesWithTheServer) {
  serve();
  ASSERT_TRUE(std::filesystem::exists(path_));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ServerTest, SomebodyElsesSocketFileStays) {
  serve();
  std::filesystem::remove(path_);
  const Peer successor(path_);
  server_.reset();
  EXPECT_TRUE(std::filesystem::is_socket(path_));
}

TEST_F(ServerTest, FailedBindLeavesNoFileBehind) {
  make({{address_of(path_), std::nullopt},
        {address_of(dir_ / "missing/x"), std::nullopt}});
  EXPECT_FALSE(server_->bind());
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ServerTest, BurstIsGatheredIntoFewSnapshots) {
  serve();
  for (int i = 0; i < 200; ++i) {
    subscribe("d" + std::to_string(i) + ".example.com", "/run/1");
    // The system may let only some ten datagrams wait in a Unix socket.
    if (i % 8 == 7) {
      loop_.run_nowait();
    }
  }
  ASSERT_TRUE(run_until([&] { return server_->table().node_count() == 200; }));
  ASSERT_TRUE(run_until([&] { return !server_->table().dirty(); }));
  EXPECT_LT(published_, 100);
  EXPECT_THAT(routed("d0.example.com"), ElementsAre("/run/1"));
  EXPECT_THAT(routed("d199.example.com"), ElementsAre("/run/1"));
}

TEST_F(ServerTest, RefreshPublishesNothing) {
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  subscribe("example.com", "/run/1");
  subscribe("other.example.com", "/run/1");
  ASSERT_TRUE(run_until_published(2));
  EXPECT_EQ(server_->counters().accepted, 3U);
  EXPECT_EQ(snapshot_->version(), 2U);
}

TEST_F(ServerTest, UnsubscribedNodeIsNotPicked) {
  serve();
  subscribe("example.com", "/run/1");
  subscribe("example.com", "/run/2");
  unsubscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_packets(3));
  ASSERT_TRUE(run_until([&] { return !server_->table().dirty(); }));
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/2"));
}

TEST_F(ServerTest, SilentNodeIsNotPicked) {
  options_.tolerance_ms = 100;
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  clock_.now_ms += 101;
  ASSERT_TRUE(run_until_published(2));
  EXPECT_TRUE(routed("example.com").empty());
}

TEST_F(ServerTest, PacketThatWaitsInTheSocketSavesItsNode) {
  options_.tolerance_ms = 100;
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  // The thread was late: the node has long spoken when expiry is looked at.
  clock_.now_ms += 5'000;
  subscribe("example.com", "/run/1");
  subscribe("next.example.com", "/run/1");
  ASSERT_TRUE(run_until_published(2));
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/1"));
}

TEST_F(ServerTest, PacketsBeyondOneTurnSaveTheirNodesToo) {
  constexpr int kNodes = 2 * Server::kBatch * Server::kBatchesPerTurn;
  options_.tolerance_ms = 100;
  serve_udp();
  const auto key = [](int i) { return std::to_string(i) + ".example.com"; };
  const auto announce_all = [&] {
    for (int i = 0; i < kNodes; ++i) subscribe(key(i), "/run/1");
  };
  const auto last_runtime = [&] {
    const NodeRuntime* runtime = nullptr;
    server_->table().for_each_pool([&](const Table::PoolView& pool) {
      if (pool.key != key(kNodes - 1)) return;
      runtime = pool.nodes.front();
    });
    return runtime;
  };
  announce_all();
  ASSERT_TRUE(run_until_packets(kNodes));
  const NodeRuntime* const before = last_runtime();
  // The thread was late: expiry comes up before the sockets are read empty.
  clock_.now_ms += 5'000;
  announce_all();
  const auto late = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - late <
         std::chrono::milliseconds(options_.tolerance_ms)) {
  }
  ASSERT_TRUE(run_until_packets(2 * std::uint64_t{kNodes}));
  EXPECT_EQ(last_runtime(), before);
  EXPECT_EQ(server_->table().node_count(), std::size_t{kNodes});
}

TEST_F(ServerTest, AcknowledgementGoesOutOnceAndAfterAdoption) {
  serve();
  Peer vassal(dir_ / "notify");
  Pairs pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("notify", dir_ / "notify");
  send(encode(pairs));
  ASSERT_TRUE(run_until_published(1));
  EXPECT_EQ(vassal.receive(), "") << "nobody routes by the snapshot yet";
  server_->on_adopted(0);
  EXPECT_EQ(vassal.receive(), "");
  server_->on_adopted(1);
  EXPECT_EQ(vassal.receive(),
            "[subscription ack] example.com => new node: /run/1");
  server_->on_adopted(1);
  send(encode(pairs));
  subscribe("other.example.com", "/run/1");
  ASSERT_TRUE(run_until_published(2));
  server_->on_adopted(2);
  EXPECT_EQ(vassal.receive(), "");
}

TEST_F(ServerTest, LaterAdoptionAcknowledgesAllBefore) {
  serve();
  Peer vassal(dir_ / "notify");
  for (int i = 1; i <= 2; ++i) {
    Pairs pairs = plain_pairs("d" + std::to_string(i), "/run/1");
    pairs.emplace_back("notify", dir_ / "notify");
    send(encode(pairs));
    ASSERT_TRUE(run_until_published(i));
  }
  server_->on_adopted(2);
  EXPECT_EQ(vassal.receive(), "[subscription ack] d1 => new node: /run/1");
  EXPECT_EQ(vassal.receive(), "[subscription ack] d2 => new node: /run/1");
}

TEST_F(ServerTest, AcknowledgementGoesToUdpToo) {
  serve();
  const UniqueFd vassal(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Address any = address_of("127.0.0.1:0");
  ASSERT_EQ(::bind(vassal.get(), any.data(), any.length()), 0);
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ASSERT_EQ(::getsockname(vassal.get(), reinterpret_cast<sockaddr*>(&bound),
                          &length),
            0);
  Pairs pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("notify",
                     Address::from_sockaddr(
                         reinterpret_cast<const sockaddr*>(&bound), length)
                         .to_string());
  send(encode(pairs));
  ASSERT_TRUE(run_until_published(1));
  server_->on_adopted(1);
  char text[128];
  const ssize_t size = ::recv(vassal.get(), text, sizeof text, 0);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(text, static_cast<std::size_t>(size)),
            "[subscription ack] example.com => new node: /run/1");
}

TEST_F(ServerTest, AcknowledgementIsNotSentWhereNodesMayNotBe) {
  options_.allow_addresses.unix_prefixes = {dir_ / "allowed"};
  serve();
  Peer forbidden(dir_ / "notify");
  std::filesystem::create_directory(dir_ / "allowed");
  for (const std::string& notify :
       {dir_ / "notify", dir_ / "allowed/../notify", std::string("notify"),
        std::string("8.8.8.8:53")}) {
    Pairs pairs = plain_pairs("d" + std::to_string(published_),
                              dir_ / "allowed/node");
    pairs.emplace_back("notify", notify);
    send(encode(pairs));
    ASSERT_TRUE(run_until_published(published_ + 1));
    server_->on_adopted(snapshot_->version());
    EXPECT_EQ(forbidden.receive(), "") << notify;
  }
}

TEST_F(ServerTest, AcknowledgementToNobodyDoesNoHarm) {
  serve();
  Pairs pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("notify", dir_ / "gone");
  send(encode(pairs));
  ASSERT_TRUE(run_until_published(1));
  server_->on_adopted(1);
}

TEST_F(ServerTest, SendersCredentialsAreRecorded) {
  options_.use_credentials = true;
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  int seen = 0;
  server_->table().for_each_pool([&](const Table::PoolView& pool) {
    ASSERT_TRUE(pool.nodes[0]->sender());
    EXPECT_EQ(pool.nodes[0]->sender()->pid, ::getpid());
    EXPECT_EQ(pool.nodes[0]->sender()->uid, ::getuid());
    EXPECT_EQ(pool.nodes[0]->sender()->gid, ::getgid());
    ++seen;
  });
  EXPECT_EQ(seen, 1);
}

TEST_F(ServerTest, CredentialsAreNotAskedForByDefault) {
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  server_->table().for_each_pool([](const Table::PoolView& pool) {
    EXPECT_FALSE(pool.nodes[0]->sender());
  });
}

TEST_F(ServerTest, TrustedUidNeedsNoSignature) {
  options_.sign_check = SignCheck{};
  options_.sign_check->keys = dir_.path();
  options_.sign_check->skip_uids = {::getuid()};
  serve();
  subscribe("example.com", "/run/1");
  EXPECT_TRUE(run_until_published(1));
}

TEST_F(ServerTest, OtherUidNeedsASignature) {
  options_.sign_check = SignCheck{};
  options_.sign_check->keys = dir_.path();
  options_.sign_check->skip_uids = {::getuid() + 1};
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_packets(1));
  EXPECT_EQ(rejected(Rejection::kUnsigned), 1U);
  EXPECT_EQ(server_->table().node_count(), 0U);
}

// In a process of an ordinary user's: a datagram that claims to be root's, then
// an honest one. Whether the kernel refused the claim, and took the other.
enum class Forgery : int { kRefused, kTaken, kHonestRefused, kNotTried };

Forgery forge_credentials(const Address& to, std::string packet) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), to.data(), to.length()), 0);
  union {
    cmsghdr alignment;
    char bytes[CMSG_SPACE(sizeof(ucred))];
  } control{};
  iovec part{packet.data(), packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  cmsghdr* const head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_CREDENTIALS;
  head->cmsg_len = CMSG_LEN(sizeof(ucred));
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobodyUid = 65534;
    const bool dropped = ::getuid() != 0 || (::setgid(kNobodyUid) == 0 &&
                                             ::setuid(kNobodyUid) == 0);
    if (!dropped) ::_exit(static_cast<int>(Forgery::kNotTried));
    const ucred root{::getpid(), 0, 0};
    std::memcpy(CMSG_DATA(head), &root, sizeof root);
    const bool taken = ::sendmsg(fd.get(), &message, 0) >= 0;
    const bool honest = ::send(fd.get(), packet.data(), packet.size(), 0) >= 0;
    ::_exit(static_cast<int>(taken    ? Forgery::kTaken
                             : honest ? Forgery::kRefused
                                      : Forgery::kHonestRefused));
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return static_cast<Forgery>(WEXITSTATUS(status));
}

TEST_F(ServerTest, ForgedCredentialsDoNotPassTheKernel) {
  options_.sign_check = SignCheck{};
  options_.sign_check->keys = dir_.path();
  options_.sign_check->skip_uids = {0};
  serve();
  const Forgery forgery = forge_credentials(
      address_of(path_), encode(plain_pairs("example.com", "/run/1")));
  if (forgery == Forgery::kNotTried) GTEST_SKIP() << "there is no other user";
  EXPECT_EQ(forgery, Forgery::kRefused);
  ASSERT_TRUE(run_until_packets(1));
  EXPECT_EQ(server_->counters().packets, 1U) << "the honest one";
  EXPECT_EQ(rejected(Rejection::kUnsigned), 1U);
  EXPECT_EQ(server_->table().node_count(), 0U);
}

TEST_F(ServerTest, SenderOverUdpIsNobodyOfTrust) {
  options_.sign_check = SignCheck{};
  options_.sign_check->keys = dir_.path();
  options_.sign_check->skip_uids = {0, ::getuid()};
  serve_udp();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_packets(1));
  EXPECT_EQ(rejected(Rejection::kUnsigned), 1U);
}

TEST_F(ServerTest, SignedVectorIsServed) {
  test::write_file(dir_ / ".bar.example.com.pem",
                   test::vector_file("customer.pub"));
  options_.sign_check = SignCheck{};
  options_.sign_check->keys = dir_.path();
  serve();
  send(test::vector_file("signed.0.bin"));
  send(test::vector_file("signed.1.bin"));
  send(test::vector_file("plain.0.bin"));
  ASSERT_TRUE(run_until_packets(3));
  EXPECT_EQ(server_->counters().accepted, 2U);
  EXPECT_EQ(rejected(Rejection::kUnsigned), 1U);
  ASSERT_TRUE(run_until_published(1));
  EXPECT_THAT(routed(".bar.example.com"), ElementsAre("/tmp/cap/app.sock"));
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

void send_with_descriptor(int from, const Address& to, std::string packet) {
  union {
    cmsghdr alignment;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control{};
  iovec part{packet.data(), packet.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to.data());
  message.msg_namelen = to.length();
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  cmsghdr* const head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = STDIN_FILENO;
  std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
  EXPECT_GT(::sendmsg(from, &message, 0), 0) << std::strerror(errno);
}

TEST_F(ServerTest, DescriptorsThatComeAlongAreNotKept) {
  for (const bool credentials : {false, true}) {
    options_.use_credentials = credentials;
    published_ = 0;
    snapshot_ = std::make_shared<Snapshot>();
    serve();
    const std::size_t before = open_descriptors();
    send_with_descriptor(peer_.fd(), address_of(path_),
                         encode(plain_pairs("example.com", "/run/1")));
    ASSERT_TRUE(run_until_published(1));
    EXPECT_EQ(open_descriptors(), before) << credentials;
    server_.reset();
  }
}

TEST_F(ServerTest, LargestDatagramIsRead) {
  serve();
  Pairs pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("future", "");
  const std::size_t room = Server::kDatagramBytesMax - encode(pairs).size();
  pairs.back().second.assign(room, 'x');
  const std::string packet = encode(pairs);
  ASSERT_EQ(packet.size(), Server::kDatagramBytesMax);
  send(packet);
  EXPECT_TRUE(run_until_published(1));
}

TEST_F(ServerTest, DatagramThatDoesNotFitIsTruncated) {
  serve();
  send(std::string(100'000, '\xe0'));
  ASSERT_TRUE(run_until_packets(1));
  EXPECT_EQ(rejected(Rejection::kTruncated), 1U);
}

TEST_F(ServerTest, RefusedPacketsAreCountedByReason) {
  serve();
  send("");
  send(encode({}, 0, 109));
  send(encode({{"key", "a"}}));
  send(encode(plain_pairs("example.com", "8.8.8.8:80")));
  Pairs fastcgi = plain_pairs("example.com", "/run/1");
  fastcgi.emplace_back("proto", "fastcgi");
  send(encode(fastcgi));
  ASSERT_TRUE(run_until_packets(5));
  EXPECT_EQ(rejected(Rejection::kTruncated), 1U);
  EXPECT_EQ(rejected(Rejection::kNotSubscription), 1U);
  EXPECT_EQ(rejected(Rejection::kBadAddress), 1U);
  EXPECT_EQ(rejected(Rejection::kAddressNotAllowed), 1U);
  EXPECT_EQ(rejected(Rejection::kUnsupported), 1U);
  EXPECT_EQ(server_->counters().accepted, 0U);
  EXPECT_EQ(server_->table().node_count(), 0U);
}

TEST_F(ServerTest, SleepingVassalIsTakenAndWakesWithItsAddress) {
  serve();
  send(encode({{"key", "example.com"}, {"vassal", "app.ini"},
               {"inactive", "1"}}));
  ASSERT_TRUE(run_until_published(1));
  const Pool* pool = snapshot_->find_exact("example.com");
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(pool->nodes().size(), 0U);
  EXPECT_EQ(pool->vassal_to_wake(), "app.ini");
  Pairs awake = plain_pairs("example.com", "/run/1");
  awake.emplace_back("vassal", "app.ini");
  send(encode(awake));
  ASSERT_TRUE(run_until_published(2));
  pool = snapshot_->find_exact("example.com");
  EXPECT_EQ(pool->nodes().size(), 1U);
  EXPECT_EQ(pool->vassal_to_wake(), "");
}

TEST_F(ServerTest, MountpointsBeyondTheConfiguredLevelsAreUnsupported) {
  options_.mountpoints = 2;
  serve();
  subscribe("example.com/a/b", "/run/1");
  subscribe("example.com/a/b/c", "/run/2");
  ASSERT_TRUE(run_until_packets(2));
  EXPECT_EQ(server_->counters().accepted, 1U);
  EXPECT_EQ(rejected(Rejection::kUnsupported), 1U);
}

TEST_F(ServerTest, KeysWithoutPortAreUnsupportedWhereOneIsExpected) {
  options_.mountpoints = 1;
  options_.expect_port_in_key = true;
  serve();
  subscribe("example.com:80", "/run/1");
  subscribe("example.com:80/a", "/run/2");
  subscribe("[::1]:80", "/run/3");
  subscribe("example.com", "/run/4");
  subscribe("example.com/a:80", "/run/5");
  subscribe("[::1]", "/run/6");
  subscribe(".example.com", "/run/7");
  ASSERT_TRUE(run_until_packets(7));
  EXPECT_EQ(server_->counters().accepted, 3U);
  EXPECT_EQ(rejected(Rejection::kUnsupported), 4U);
}

std::size_t occurrences(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST_F(ServerTest, RefusalsOfOneReasonAreLoggedOnceASecond) {
  serve();
  const auto flood = [&](std::uint64_t packets) {
    for (std::uint64_t i = 0; i < 5; ++i) send("nonsense");
    EXPECT_TRUE(run_until_packets(packets + 5));
  };
  testing::internal::CaptureStderr();
  flood(0);
  flood(5);
  clock_.now_ms += 1000;
  flood(10);
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences(lines, "packet refused (not-subscription)"), 2U);
  EXPECT_THAT(lines, HasSubstr("9 more since the last line"));
}

TEST_F(ServerTest, ComingAndGoingIsLoggedSoThatNoLineBreaks) {
  options_.tolerance_ms = 100;
  serve();
  testing::internal::CaptureStderr();
  subscribe("example.com", "/run/a\nb");
  ASSERT_TRUE(run_until_published(1));
  unsubscribe("example.com", "/run/a\nb");
  ASSERT_TRUE(run_until_published(2));
  subscribe("example.com", "/run/2");
  ASSERT_TRUE(run_until_published(3));
  clock_.now_ms += 101;
  ASSERT_TRUE(run_until_published(4));
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_THAT(lines, HasSubstr("example.com node /run/a\\x0ab added"));
  EXPECT_THAT(lines, HasSubstr("removed: it unsubscribed"));
  EXPECT_THAT(lines,
              HasSubstr("/run/2 removed: silent for longer than 100 ms"));
  EXPECT_EQ(occurrences(lines, "\n"), 4U);
}

TEST_F(ServerTest, PauseOfExpiryIsSaidOnce) {
  options_.tolerance_ms = 100;
  serve();
  for (int i = 0; i < 8; ++i) {
    subscribe("example.com", "/run/" + std::to_string(i));
  }
  ASSERT_TRUE(run_until_packets(8));
  testing::internal::CaptureStderr();
  clock_.now_ms += 101;
  int turns = 0;
  ASSERT_TRUE(run_until([&] { return ++turns > 6; }));
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences(lines, "all nodes fell silent at once"), 1U) << lines;
  EXPECT_EQ(server_->table().node_count(), 8U);
}

TEST_F(ServerTest, FlappingNodesDoNotFloodTheLog) {
  serve();
  testing::internal::CaptureStderr();
  for (std::uint64_t i = 0; i < 300; ++i) {
    subscribe("example.com", "/run/1");
    unsubscribe("example.com", "/run/1");
    EXPECT_TRUE(run_until_packets(2 * i + 2));
  }
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences(lines, "\n"), Server::kChangeLinesMax);
  EXPECT_THAT(lines, HasSubstr("not listed this second"));
}

TEST_F(ServerTest, StaticNodesAreThereFromTheStartAndStay) {
  options_.tolerance_ms = 100;
  options_.static_nodes = {
      {.key = "example.com", .address = address_of("/run/fixed")},
      {.key = "example.com", .address = address_of("/run/spare"), .backup = 1}};
  serve();
  EXPECT_EQ(published_, 1) << "before the loop runs";
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/fixed", "/run/spare"));
  subscribe("example.com", "/run/announced");
  ASSERT_TRUE(run_until_published(2));
  EXPECT_THAT(routed("example.com"),
              ElementsAre("/run/fixed", "/run/announced", "/run/spare"));
  unsubscribe("example.com", "/run/fixed");
  subscribe("other.example", "/run/fixed");
  ASSERT_TRUE(run_until_packets(3));
  EXPECT_EQ(rejected(Rejection::kAddressTaken), 1U);
  clock_.now_ms += 101;
  ASSERT_TRUE(run_until_published(3));
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/fixed", "/run/spare"));
}

TEST_F(ServerTest, RefusalsAreCountedByTheirSource) {
  options_.use_credentials = true;
  serve();
  send("junk");
  ASSERT_TRUE(run_until_packets(1));
  ASSERT_EQ(server_->refusals().sources().size(), 1U);
  EXPECT_EQ(server_->refusals().sources()[0].name,
            "uid " + std::to_string(::getuid()));
}

TEST_F(ServerTest, AcceptedSubscriptionsArePassedOnAndTheLastLeave) {
  const std::string front_path = dir_ / "front";
  Peer front(front_path);
  options_.resubscribe = {address_of(front_path)};
  options_.own_address = address_of("127.0.0.1:80");
  options_.hold_ms = 0;
  serve();
  send("junk");
  subscribe("example.com", "/run/1");
  subscribe("example.com", "/run/2");
  unsubscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_packets(4));
  std::string got = front.receive();
  EXPECT_THAT(got, HasSubstr("127.0.0.1:80"));
  EXPECT_EQ(got[3], 0);
  EXPECT_EQ(front.receive(), "") << "it still has a node, and had its turn";
  unsubscribe("example.com", "/run/2");
  ASSERT_TRUE(run_until_packets(5));
  ASSERT_TRUE(run_until([&] { return !server_->table().dirty(); }));
  got = front.receive();
  ASSERT_NE(got, "");
  EXPECT_EQ(got[3], 1);
}

TEST_F(ServerTest, CertificateThatWasRefusedIsNotPassedOn) {
  const std::string front_path = dir_ / "front";
  Peer front(front_path);
  options_.serves_sni = true;
  options_.resubscribe = {address_of(front_path)};
  options_.own_address = address_of("127.0.0.1:80");
  make({{address_of(path_), std::nullopt}});
  server_->set_hooks(
      {.materials = {.deliver = [](std::string_view, const Hash128&,
                                   SniMaterial material)
                         -> std::optional<std::string> {
                       if (material.chain.ends_with("good")) return std::nullopt;
                       return "it is broken";
                     },
                     .retire = {},
                     .guards = {}},
       .on_pool_gone = {}});
  ASSERT_TRUE(server_->bind());
  start();
  std::uint64_t packets = 0;
  for (const std::string_view word : {"good", "bad"}) {
    auto pairs = plain_pairs(std::string(word) + ".test", "/run/1");
    pairs.emplace_back("sni_crt", "-----BEGIN " + std::string(word));
    pairs.emplace_back("sni_ca", "!");
    send(encode(pairs));
    ASSERT_TRUE(run_until_packets(++packets));
    const std::string got = front.receive();
    EXPECT_THAT(got, HasSubstr(std::string(word) + ".test"));
    EXPECT_EQ(got.find("-----BEGIN") != got.npos, word == "good");
    EXPECT_THAT(got, HasSubstr(std::string("sni_ca\x01\0!", 9)));
  }
}

TEST_F(ServerTest, CertificateOfAPortAloneIsNotPassedOn) {
  const std::string front_path = dir_ / "front";
  const std::string owners = dir_ / "owners";
  std::filesystem::create_directory(owners);
  test::write_file(owners + "/example.com:8443", "");
  Peer front(front_path);
  options_.credentials_check = owners;
  options_.resubscribe = {address_of(front_path)};
  options_.own_address = address_of("127.0.0.1:80");
  serve();
  auto pairs = plain_pairs("example.com:8443", "/run/1");
  pairs.emplace_back("sni_crt", "-----BEGIN CERTIFICATE");
  send(encode(pairs));
  ASSERT_TRUE(run_until_packets(1));
  const std::string got = front.receive();
  EXPECT_THAT(got, HasSubstr("example.com:8443"));
  EXPECT_THAT(got, testing::Not(HasSubstr("-----BEGIN")));
}

TEST_F(ServerTest, SubscriptionThatComesBackIsNotTakenAndGoesNoFurther) {
  // The server passes on to itself: the shortest loop there is.
  options_.resubscribe = {address_of(path_)};
  options_.own_address = address_of("127.0.0.1:80");
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_packets(2));
  EXPECT_EQ(server_->counters().came_back, 1U);
  EXPECT_EQ(server_->table().node_count(), 1U);
}

TEST_F(ServerTest, LoopThroughRoutersThatKnowNoViaEnds) {
  // One that takes `via` away, as uWSGI's router does.
  const std::string front_path = dir_ / "front";
  Peer front(front_path);
  options_.resubscribe = {address_of(front_path)};
  options_.own_address = address_of("127.0.0.1:80");
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_packets(1));
  for (int rounds = 0; front.receive() != ""; ++rounds) {
    ASSERT_LT(rounds, 1);
    subscribe("example.com", "127.0.0.1:81");
    ASSERT_TRUE(run_until_packets(2));
  }
}

TEST_F(ServerTest, MaterialIsHandedOverBeforeTheNodeIsServedAndAgainWhenRenewed) {
  options_.serves_sni = true;
  options_.hold_ms = 0;
  std::vector<std::string> told;
  std::optional<std::string> problem;
  make({{address_of(path_), std::nullopt}});
  server_->set_hooks(
      {.materials =
           {.deliver =
                [&](std::string_view key, const Hash128&,
                    SniMaterial material) {
                  if (told.empty()) EXPECT_EQ(published_, 0);
                  told.push_back(std::string(key) + " " + material.chain);
                  return problem;
                },
            .retire = {},
            .guards = {}},
       .on_pool_gone =
           [&](std::string_view key) {
             told.push_back(std::string(key) + " is gone");
           }});
  ASSERT_TRUE(server_->bind());
  start();
  auto pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("sni_crt", "-----BEGIN 1");
  send(encode(pairs));
  send(encode(pairs));
  ASSERT_TRUE(run_until_packets(2));
  EXPECT_THAT(told, ElementsAre("example.com -----BEGIN 1"));
  problem = "it is worn out";
  pairs.back().second = "-----BEGIN 2";
  send(encode(pairs));
  ASSERT_TRUE(run_until_packets(3));
  EXPECT_EQ(told.back(), "example.com -----BEGIN 2");
  EXPECT_EQ(server_->materials().problem("example.com"), "it is worn out");
  EXPECT_EQ(server_->table().node_count(), 1U) << "its node is served still";
  unsubscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until([&] { return told.size() == 3; }));
  EXPECT_EQ(told.back(), "example.com is gone");
  EXPECT_EQ(server_->materials().problem("example.com"), "");
}

TEST_F(ServerTest, RenewedMaterialMakesASnapshotAndDemandsStandInItsPools) {
  options_.serves_sni = true;
  bool guards = true;
  make({{address_of(path_), std::nullopt}});
  server_->set_hooks(
      {.materials = {.deliver =
                         [&](std::string_view, const Hash128&, SniMaterial) {
                           return std::optional<std::string>();
                         },
                     .retire = {},
                     .guards = [&](std::string_view,
                                   const Hash128&) { return guards; }},
       .on_pool_gone = {}});
  ASSERT_TRUE(server_->bind());
  start();
  const auto rule = [&] {
    const Pool* const pool = snapshot_->find_exact("example.com");
    return pool == nullptr ? ClientRule::kNone : pool->client_rule();
  };
  auto pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("sni_ca", "!-----BEGIN 1");
  send(encode(pairs));
  ASSERT_TRUE(run_until([&] { return rule() == ClientRule::kDemands; }));
  guards = false;
  pairs.back().second = "!-----BEGIN 2";
  send(encode(pairs));
  ASSERT_TRUE(run_until([&] { return rule() == ClientRule::kUnusable; }));
  pairs.pop_back();
  send(encode(pairs));
  ASSERT_TRUE(run_until_packets(3));
  EXPECT_EQ(rule(), ClientRule::kUnusable);
  clock_.now_ms += options_.tolerance_ms;
  ASSERT_TRUE(run_until([&] { return rule() == ClientRule::kNone; }));
}

TEST_F(ServerTest, DemandWithoutAnybodyWhoSpeaksTlsIsUnusable) {
  serve();
  auto pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("sni_ca", "!/etc/ca.crt");
  send(encode(pairs));
  ASSERT_TRUE(run_until_packets(1));
  ASSERT_TRUE(run_until([&] { return !server_->table().dirty(); }));
  EXPECT_EQ(snapshot_->find_exact("example.com")->client_rule(),
            ClientRule::kUnusable);
}

TEST_F(ServerTest, MaterialOfARefusedAnnouncementIsNotHandedOver) {
  options_.serves_sni = true;
  options_.nodes_max = 0;
  int told = 0;
  make({{address_of(path_), std::nullopt}});
  server_->set_hooks(
      {.materials = {.deliver =
                         [&](std::string_view, const Hash128&, SniMaterial) {
                           ++told;
                           return std::optional<std::string>();
                         },
                     .retire = {},
                     .guards = {}},
       .on_pool_gone = {}});
  ASSERT_TRUE(server_->bind());
  start();
  auto pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("sni_crt", "-----BEGIN 1");
  send(encode(pairs));
  ASSERT_TRUE(run_until_packets(1));
  EXPECT_EQ(rejected(Rejection::kTableFull), 1U);
  EXPECT_EQ(told, 0);
}

TEST_F(ServerTest, CustomerPaysForCertificatesThatHeChanges) {
  const auto customer = test::Signer::customer();
  options_.sign_check.emplace().keys = dir_.path();
  test::write_file(dir_ / "example.com.pem", customer.public_pem());
  options_.serves_sni = true;
  options_.check_shares.owner_us = 10'000;
  std::uint64_t told = 0;
  make({{address_of(path_), std::nullopt}});
  server_->set_hooks(
      {.materials = {.deliver =
                         [&](std::string_view, const Hash128&, SniMaterial) {
                           ++told;
                           return std::optional<std::string>();
                         },
                     .retire = {},
                     .guards = {}},
       .on_pool_gone = {}});
  ASSERT_TRUE(server_->bind());
  start();
  for (std::uint64_t i = 0; i < 30; ++i) {
    auto pairs = plain_pairs("example.com", "/run/" + std::to_string(i));
    pairs.emplace_back("sni_crt", "-----BEGIN " + std::to_string(i));
    send(customer.packet(pairs, clock_.now_unix_s));
    ASSERT_TRUE(run_until_packets(i + 1));
  }
  EXPECT_GE(told, 5U);
  EXPECT_LE(told, 10U);
  EXPECT_EQ(rejected(Rejection::kOverBudget), 30U - told);
}

TEST_F(ServerTest, DrainIsPublishedAndLogged) {
  serve();
  subscribe("example.com", "/run/1");
  subscribe("example.com", "/run/2");
  ASSERT_TRUE(run_until_packets(2));
  testing::internal::CaptureStderr();
  EXPECT_EQ(server_->set_drained("example.com", "/run/1", true),
            Table::Drain::kDone);
  EXPECT_EQ(server_->set_drained("example.com", "/run/1", true),
            Table::Drain::kAlready);
  EXPECT_EQ(occurrences(testing::internal::GetCapturedStderr(),
                        "/run/1 drained by an operator"),
            1U);
  ASSERT_TRUE(run_until([&] { return !server_->table().dirty(); }));
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/2"));
}

TEST_F(ServerTest, MoreStaticNodesThanThereIsRoomForIsAnError) {
  options_.nodes_max = 1;
  options_.static_nodes = {{.key = "a", .address = address_of("/run/1")},
                           {.key = "b", .address = address_of("/run/2")}};
  EXPECT_THAT(bind_error(), HasSubstr("static node /run/2 of b: table-full"));
}

TEST_F(ServerTest, WithoutPublishTheTableIsKeptAllTheSame) {
  make({{address_of(path_), std::nullopt}});
  ASSERT_TRUE(server_->bind());
  server_->start({});
  Pairs pairs = plain_pairs("example.com", "/run/1");
  pairs.emplace_back("notify", dir_ / "notify");
  send(encode(pairs));
  ASSERT_TRUE(run_until_packets(1));
  EXPECT_EQ(server_->table().node_count(), 1U);
  server_->on_adopted(1);
}

TEST_F(ServerTest, StoppedServerReadsAgainWhenStarted) {
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  server_->stop();
  subscribe("example.com", "/run/2");
  loop_.run_nowait();
  EXPECT_EQ(server_->counters().packets, 1U);
  start();
  ASSERT_TRUE(run_until_published(2));
  EXPECT_THAT(routed("example.com"), ElementsAre("/run/1", "/run/2"));
}

// ----------------------------------------------------- another configuration

TEST_F(ServerTest, WhatWaitsInASocketThatGoesIsReadAndTheFileGoes) {
  serve();
  subscribe("example.com", "/run/1");
  Options next = options_;
  next.servers = {{address_of(dir_ / "other"), std::nullopt}};
  auto plan = server_->prepare(next, {});
  ASSERT_TRUE(plan);
  server_->adopt(*std::move(plan));
  EXPECT_EQ(server_->counters().packets, 1U);
  EXPECT_FALSE(std::filesystem::exists(path_));
  options_ = next;
  subscribe("example.com", "/run/2");
  ASSERT_TRUE(run_until_packets(2));
  EXPECT_EQ(server_->table().node_count(), 2U);
}

TEST_F(ServerTest, PlanThatFailsChangesNothing) {
  serve();
  Options next = options_;
  next.tolerance_ms = 1;
  next.servers.push_back({address_of(dir_ / "other"), std::nullopt});
  next.servers.push_back({address_of(dir_ / "no/such/folder"), std::nullopt});
  EXPECT_FALSE(server_->prepare(next, {}));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "other"));
  EXPECT_EQ(server_->options().tolerance_ms, options_.tolerance_ms);
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
}

TEST_F(ServerTest, RulesOfAnotherConfigurationCountFromTheNextPacket) {
  serve();
  subscribe("example.com", "/run/1");
  ASSERT_TRUE(run_until_published(1));
  Options next = options_;
  next.sign_check = SignCheck{};
  next.sign_check->keys = dir_.path();
  auto plan = server_->prepare(next, {});
  ASSERT_TRUE(plan);
  server_->adopt(*std::move(plan));
  subscribe("example.com", "/run/2");
  ASSERT_TRUE(run_until_packets(2));
  EXPECT_EQ(server_->counters().accepted, 1U);
  EXPECT_EQ(server_->table().node_count(), 1U);
}

}  // namespace
}  // namespace fealty::subscription
