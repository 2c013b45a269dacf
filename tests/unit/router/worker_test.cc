// A worker on a thread of its own: what the session tests leave to it, which
// is listening, adopting routes, time, waiting for backlogs, draining.

#include "router/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "router/listen.h"
#include "tests/unit/router/routes.h"
#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

constexpr std::string_view kGet =
    "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
constexpr std::string_view kOk =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() { ::signal(SIGPIPE, SIG_IGN); }
  ~WorkerTest() override { stop(); }

  // Options may be changed before.
  void make_worker() {
    listening_ = listen();
    address_ = bound_address(listening_->socket->get());
    worker_ = std::make_unique<Worker>(setup({*listening_}), shared_, [this] {
      progress_.fetch_add(1);
    });
  }
  static WorkerListener listen() {
    auto fd = listen_on(test::address_of("127.0.0.1:0"), {});
    EXPECT_TRUE(fd);
    const auto port = std::to_string(bound_address(fd->get()).port());
    return {std::make_shared<const UniqueFd>(*std::move(fd)),
            std::make_shared<const Listener>(Listener{port, nullptr, false})};
  }
  WorkerSetup setup(std::vector<WorkerListener> listeners,
                    std::uint64_t version = 1) {
    return {std::make_shared<const Settings>(Settings{options_}),
            std::move(listeners), version};
  }
  void run() {
    if (worker_ == nullptr) make_worker();
    thread_ = std::thread([this] { worker_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    worker_->stop();
    thread_.join();
    worker_.reset();
    EXPECT_EQ(shared_.connections.load(), 0U);
  }
  // As the control thread does: what it keeps open would go on taking.
  void drain() {
    listening_.reset();
    worker_->drain();
  }
  void publish(const std::vector<test::RouteNode>& nodes,
               std::uint64_t version = 1) {
    std::vector<subscription::PoolRef> pools;
    if (!nodes.empty()) pools.push_back(test::make_pool("example.com", nodes));
    worker_->publish({test::make_snapshot(pools, version), {}});
    EXPECT_TRUE(test::eventually(
        [&] { return worker_->adopted_version() == version; }));
  }
  test::Peer connect() { return test::Peer(test::connect_to(address_)); }
  [[nodiscard]] std::uint64_t active() const {
    return worker_->counters().active.load();
  }

  test::TempDir temp_;
  Options options_;
  SharedState shared_;
  Address address_;
  std::optional<WorkerListener> listening_;
  std::atomic<int> progress_{0};
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

TEST_F(WorkerTest, RequestsReachTheirNode) {
  run();
  test::FakeNode node(temp_ / "node");
  publish({test::make_node(node.address())});
  auto client = connect();
  for (int i = 0; i < 3; ++i) {
    client.send(kGet);
    auto connection = node.wait_for_connection();
    const auto request = connection.wait_for_request();
    EXPECT_EQ(request["REMOTE_ADDR"], "127.0.0.1");
    EXPECT_EQ(request["SERVER_PORT"], std::to_string(address_.port()));
    connection.answer(kOk);
    ASSERT_TRUE(client.wait_for("ok"));
    EXPECT_EQ(client.take(), kOk);
  }
  EXPECT_EQ(worker_->counters().requests.load(), 3U);
}

TEST_F(WorkerTest, RoutesAreAdoptedAsTheyArePublished) {
  run();
  test::FakeNode node(temp_ / "node");
  auto client = connect();
  client.send(kGet);
  EXPECT_TRUE(client.wait_for("404 Not Found"));
  client.take();
  publish({test::make_node(node.address())}, 1);
  EXPECT_GT(progress_.load(), 0);
  client.send(kGet);
  node.wait_for_connection().answer(kOk);
  EXPECT_TRUE(client.wait_for("200 OK"));
  client.take();
  publish({}, 2);
  client.send(kGet);
  EXPECT_TRUE(client.wait_for("404 Not Found"));
}

TEST_F(WorkerTest, HeldRequestsGoOnWhenTheRoutesChange) {
  options_.limits.hold_ms = 60'000;
  run();
  worker_->publish(
      {test::make_snapshot({test::make_pool("example.com", {})}), {}});
  ASSERT_TRUE(test::eventually([&] { return worker_->adopted_version() == 1; }));
  auto client = connect();
  client.send(kGet);
  ASSERT_TRUE(test::eventually([&] { return shared_.held.load() == 1; }));
  test::FakeNode node(temp_ / "node");
  publish({test::make_node(node.address())}, 2);
  auto connection = node.wait_for_connection();
  connection.wait_for_request();
  connection.answer(kOk);
  EXPECT_TRUE(client.wait_for("200 OK"));
  EXPECT_EQ(shared_.held.load(), 0U);
}

TEST_F(WorkerTest, HeldRequestsFindANodeThatComesBackUnannounced) {
  options_.limits.hold_ms = 60'000;
  run();
  std::optional<test::FakeNode> node(temp_ / "node");
  const auto route = test::make_node(node->address());
  publish({route});
  node.reset();
  std::vector<test::Peer> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(connect());
    clients.back().send(kGet);
  }
  ASSERT_TRUE(test::eventually([&] { return shared_.held.load() == 50; }));
  // One tries for all.
  const std::uint32_t tries = route.runtime->connect_failures.load();
  ASSERT_TRUE(test::eventually([&] {
    return route.runtime->connect_failures.load() >= tries + 5;
  }));
  ASSERT_EQ(::unlink((temp_ / "node").c_str()), 0);
  node.emplace(temp_ / "node");
  for (std::size_t i = 0; i < clients.size(); ++i) {
    auto connection = node->wait_for_connection();
    connection.wait_for_request();
    connection.answer(kOk);
  }
  for (auto& client : clients) EXPECT_TRUE(client.wait_for("200 OK"));
}

TEST_F(WorkerTest, EveryHeldRequestEndsInItsTime) {
  options_.limits.hold_ms = 100;
  run();
  worker_->publish(
      {test::make_snapshot({test::make_pool("example.com", {})}), {}});
  ASSERT_TRUE(test::eventually([&] { return worker_->adopted_version() == 1; }));
  std::vector<test::Peer> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(connect());
    clients.back().send(kGet);
  }
  // Were only one looked at a turn, the last would wait for 4 s.
  const auto since = std::chrono::steady_clock::now();
  for (auto& client : clients) {
    EXPECT_TRUE(client.wait_for("503 Service Unavailable"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - since, std::chrono::seconds(3));
}

TEST_F(WorkerTest, LatestSnapshotWins) {
  make_worker();
  for (std::uint64_t version = 1; version <= 10; ++version) {
    worker_->publish({test::make_snapshot({}, version), {}});
  }
  run();
  EXPECT_TRUE(test::eventually(
      [&] { return worker_->adopted_version() == 10; }));
}

TEST_F(WorkerTest, DeadlinesPassByThemselves) {
  options_.timeouts.head_ms = 50;
  options_.timeouts.keepalive_ms = 50;
  options_.timeouts.node_ms = 50;
  run();
  test::FakeNode node(temp_ / "node");
  publish({test::make_node(node.address())});
  auto slow = connect();
  slow.send("GET /");
  EXPECT_TRUE(slow.wait_for("408 Request Timeout"));
  auto silent = connect();
  EXPECT_TRUE(silent.wait_for_end());
  EXPECT_EQ(silent.take(), "");
  auto idle = connect();
  idle.send(kGet);
  auto connection = node.wait_for_connection();
  EXPECT_TRUE(idle.wait_for("504 Gateway Timeout"));
  EXPECT_TRUE(idle.wait_for_end());
}

TEST_F(WorkerTest, FullBacklogIsAskedAgain) {
  run();
  test::FakeNode node(temp_ / "node", 0);
  const UniqueFd blocker = test::connect_to(node.address());
  publish({test::make_node(node.address())});
  std::vector<test::Peer> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(connect());
    clients.back().send(kGet);
  }
  ASSERT_TRUE(test::eventually(
      [&] { return worker_->counters().requests.load() == 5; }));
  node.wait_for_connection();  // the blocker: there is room again
  for (int i = 0; i < 5; ++i) {
    auto connection = node.wait_for_connection();
    connection.wait_for_request();
    connection.answer(kOk);
  }
  for (auto& client : clients) EXPECT_TRUE(client.wait_for("200 OK"));
}

TEST_F(WorkerTest, BacklogThatStaysFullIs504) {
  options_.timeouts.connect_ms = 30;
  run();
  test::FakeNode node(temp_ / "node", 0);
  const UniqueFd blocker = test::connect_to(node.address());
  publish({test::make_node(node.address())});
  auto client = connect();
  client.send(kGet);
  EXPECT_TRUE(client.wait_for("504 Gateway Timeout"));
}

TEST_F(WorkerTest, ConnectionsBeyondTheLimitWaitInTheQueue) {
  options_.limits.connections = 2;
  run();
  auto first = connect();
  auto second = connect();
  ASSERT_TRUE(test::eventually([&] { return active() == 2; }));
  auto third = connect();
  third.send(kGet);
  first.close();
  EXPECT_TRUE(third.wait_for("404 Not Found"));
  EXPECT_EQ(worker_->counters().accepted.load(), 3U);
  second.send(kGet);
  EXPECT_TRUE(second.wait_for("404 Not Found"));
}

// A node that answers as fast as it can, on a thread of its own.
class BusyNode {
 public:
  explicit BusyNode(const std::string& path) : node_(path) {
    thread_ = std::thread([this] { serve(); });
  }
  ~BusyNode() {
    ended_ = true;
    thread_.join();
  }
  [[nodiscard]] const Address& address() const { return node_.address(); }

 private:
  void serve() {
    std::vector<test::NodePeer> open;
    while (!ended_) {
      bool idle = true;
      for (auto peer = node_.accept(); peer; peer = node_.accept()) {
        open.push_back(std::move(*peer));
        idle = false;
      }
      std::erase_if(open, [&](test::NodePeer& peer) {
        if (!peer.request()) return false;
        peer.answer(kOk);
        idle = false;
        return true;
      });
      if (idle) std::this_thread::yield();
    }
  }
  test::FakeNode node_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

TEST_F(WorkerTest, ManyClientsAtOnceAreAllServed) {
  run();
  BusyNode one(temp_ / "one");
  BusyNode two(temp_ / "two");
  const std::vector<test::RouteNode> nodes = {
      test::make_node(one.address()), test::make_node(two.address())};
  publish(nodes);
  constexpr std::size_t kClients = 40;
  constexpr std::size_t kRequests = 20;
  std::vector<test::Peer> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(connect());
    for (std::size_t n = 0; n < kRequests; ++n) clients.back().send(kGet);
  }
  for (auto& client : clients) {
    EXPECT_TRUE(test::eventually([&] {
      client.read();
      return client.received().size() == kRequests * kOk.size();
    }));
  }
  const auto& counters = worker_->counters();
  EXPECT_EQ(counters.requests.load(), kClients * kRequests);
  EXPECT_EQ(counters.answers[2].load(), kClients * kRequests);
  EXPECT_EQ(nodes[0].runtime->requests.load(), kClients * kRequests / 2);
  EXPECT_EQ(nodes[1].runtime->requests.load(), kClients * kRequests / 2);
  stop();
  EXPECT_EQ(nodes[0].runtime->in_flight.load(), 0U);
}

TEST_F(WorkerTest, TwoWorkersShareTheRound) {
  run();
  SharedState shared;
  const WorkerListener listener = listen();
  const Address second_address = bound_address(listener.socket->get());
  Worker second(setup({listener}), shared, [] {});
  std::thread second_thread([&] { second.run(); });

  BusyNode nodes[] = {BusyNode(temp_ / "1"), BusyNode(temp_ / "2"),
                      BusyNode(temp_ / "3")};
  const std::vector<test::RouteNode> known = {
      test::make_node(nodes[0].address()), test::make_node(nodes[1].address()),
      test::make_node(nodes[2].address())};
  const auto snapshot =
      test::make_snapshot({test::make_pool("example.com", known)});
  worker_->publish({snapshot, {}});
  second.publish({snapshot, {}});
  ASSERT_TRUE(test::eventually([&] {
    return worker_->adopted_version() == 1 && second.adopted_version() == 1;
  }));
  for (int i = 0; i < 30; ++i) {
    test::Peer client(
        test::connect_to(i % 2 == 0 ? address_ : second_address));
    client.send(kGet);
    ASSERT_TRUE(client.wait_for("200 OK"));
  }
  for (const auto& node : known) EXPECT_EQ(node.runtime->requests.load(), 10U);
  second.stop();
  second_thread.join();
}

// -------------------------------------------------------------------- reload

TEST_F(WorkerTest, AnotherSetupChangesListenersAndLeavesConnections) {
  run();
  auto kept = connect();
  kept.send(kGet);
  ASSERT_TRUE(kept.wait_for("404 Not Found"));
  kept.take();
  const WorkerListener other = listen();
  const Address before = address_;
  worker_->set_up(setup({other}, 2));
  ASSERT_TRUE(test::eventually([&] { return worker_->adopted_setup() == 2; }));
  listening_.reset();
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), before.data(), before.length()), -1);
  test::Peer fresh(test::connect_to(bound_address(other.socket->get())));
  for (test::Peer* peer : {&kept, &fresh}) {
    peer->send(kGet);
    EXPECT_TRUE(peer->wait_for("404 Not Found"));
  }
}

TEST_F(WorkerTest, ConnectionsEndWhereTheirListenerAsksForSomethingElse) {
  run();
  auto kept = connect();
  kept.send(kGet);
  ASSERT_TRUE(kept.wait_for("404 Not Found"));
  kept.take();
  WorkerListener other = *listening_;
  Listener redirect = *other.listener;
  redirect.redirect_to_https = true;
  redirect.terms = "redirect";
  other.listener = std::make_shared<const Listener>(std::move(redirect));
  worker_->set_up(setup({other}, 2));
  EXPECT_TRUE(test::eventually([&] { return kept.ended(); }));
  auto fresh = connect();
  fresh.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
  EXPECT_TRUE(fresh.wait_for("301 Moved Permanently"));
}

TEST_F(WorkerTest, QueueOfAListenerThatGoesIsServedBeyondTheLimit) {
  options_.limits.connections = 1;
  run();
  auto first = connect();
  first.send(kGet);
  ASSERT_TRUE(first.wait_for("404 Not Found"));
  auto second = connect();
  second.send(kGet);
  worker_->set_up(setup({}, 2));
  EXPECT_TRUE(second.wait_for("404 Not Found"));
}

// Connections that wait in the queue of a listener which goes.
TEST_F(WorkerTest, QueueOfAListenerThatGoesIsServed) {
  make_worker();
  auto client = connect();
  client.send(kGet);
  worker_->set_up(setup({*listening_}, 1));
  run();
  ASSERT_TRUE(client.wait_for("404 Not Found"));
  auto late = connect();
  late.send(kGet);
  worker_->set_up(setup({}, 2));
  EXPECT_TRUE(late.wait_for("404 Not Found"));
}

TEST_F(WorkerTest, AnotherSetupsTimeoutsCountForThoseThatWait) {
  run();
  auto slow = connect();
  slow.send("GET /");
  ASSERT_TRUE(test::eventually([&] { return active() == 1; }));
  options_.timeouts.head_ms = 50;
  worker_->set_up(setup({*listening_}, 2));
  EXPECT_TRUE(slow.wait_for("408 Request Timeout"));
}

// --------------------------------------------------------------------- drain

TEST_F(WorkerTest, DrainWithoutConnectionsIsOverAtOnce) {
  run();
  drain();
  EXPECT_TRUE(test::eventually([&] { return worker_->drained(); }));
  EXPECT_GT(progress_.load(), 0);
}

TEST_F(WorkerTest, DrainFinishesWhatRunsAndSaysThatItCloses) {
  run();
  test::FakeNode node(temp_ / "node");
  publish({test::make_node(node.address())});
  auto client = connect();
  client.send(kGet);
  auto connection = node.wait_for_connection();
  connection.wait_for_request();
  auto idle = connect();
  ASSERT_TRUE(test::eventually([&] { return active() == 2; }));
  drain();
  EXPECT_TRUE(idle.wait_for_end());
  EXPECT_FALSE(worker_->drained());
  connection.answer(kOk);
  EXPECT_TRUE(client.wait_for_end());
  EXPECT_EQ(client.take(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            "ok");
  client.close();
  EXPECT_TRUE(test::eventually([&] { return worker_->drained(); }));
}

TEST_F(WorkerTest, DrainRefusesNewConnections) {
  run();
  drain();
  ASSERT_TRUE(test::eventually([&] { return worker_->drained(); }));
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), address_.data(), address_.length()), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(WorkerTest, PipelinedRequestsAfterTheOneThatRunsAreNotBegun) {
  run();
  test::FakeNode node(temp_ / "node");
  publish({test::make_node(node.address())});
  auto client = connect();
  client.send(std::string(kGet) + std::string(kGet));
  auto connection = node.wait_for_connection();
  connection.wait_for_request();
  drain();
  ASSERT_TRUE(test::eventually([&] {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(fd.get(), address_.data(), address_.length()) != 0;
  }));
  connection.answer(kOk);
  EXPECT_TRUE(client.wait_for_end());
  EXPECT_TRUE(client.take().ends_with("Connection: close\r\n\r\nok"));
  EXPECT_FALSE(node.accept());
}

// Connections whose requests are in the queue already when the drain begins.
TEST_F(WorkerTest, QueuedConnectionsAreStillServed) {
  make_worker();
  test::FakeNode node(temp_ / "node");
  worker_->publish(
      {test::make_snapshot(
           {test::make_pool("example.com", {test::make_node(node.address())})}),
       {}});
  auto client = connect();
  client.send(kGet);
  drain();
  run();
  auto connection = node.wait_for_connection();
  connection.wait_for_request();
  connection.answer(kOk);
  EXPECT_TRUE(client.wait_for("\r\n\r\nok"));
  client.close();
  EXPECT_TRUE(test::eventually([&] { return worker_->drained(); }));
}

TEST_F(WorkerTest, StopEndsWhateverRuns) {
  run();
  test::FakeNode node(temp_ / "node");
  publish({test::make_node(node.address())});
  auto client = connect();
  client.send(kGet);
  auto connection = node.wait_for_connection();
  stop();
  EXPECT_TRUE(client.wait_for_end());
  EXPECT_TRUE(connection.wait_for_end());
}

}  // namespace
}  // namespace fealty::router
