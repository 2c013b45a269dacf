#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/session.h"
#include "router/worker_context.h"
#include "tests/unit/router/routes.h"
#include "tests/unit/router/sockets.h"

namespace fealty::router {

inline std::string with_body(std::string_view method, std::string_view body) {
  return std::string(method) +
         " / HTTP/1.1\r\nHost: example.com\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// Sessions on a loop that the test turns itself: client, router and nodes take
// turns on one thread, time passes when the test says so, and what is in
// between is looked at. Nothing here waits.
class SessionTest : public testing::Test, public SessionOwner {
 protected:
  static constexpr std::string_view kGet =
      "GET /path?query HTTP/1.1\r\nHost: example.com\r\n\r\n";
  static constexpr std::string_view kOk =
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

  SessionTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as the router does
    options_.temp_dir = temp_.path();
    options_.limits.head_bytes = 16 * 1024;
    options_.limits.hold_ms = 0;  // but for the tests of it
  }
  ~SessionTest() override {
    for (const auto& session : sessions_) session->abort();
    sessions_.clear();
    if (context_ == nullptr) return;
    EXPECT_EQ(context_->buffers.lent(), 0U);
    EXPECT_EQ(shared_.connections.load(), 0U);
    EXPECT_EQ(shared_.held.load(), 0U);
    EXPECT_EQ(context_->counters.active.load(), 0U);
    for (const auto& node : runtimes_) EXPECT_EQ(node->in_flight.load(), 0U);
  }

  // Options may be changed until the first call of this or of client().
  WorkerContext& context() {
    if (context_ == nullptr) {
      context_ = std::make_unique<WorkerContext>(
          std::make_shared<const Settings>(Settings{options_}), shared_, 1);
      context_->retry_timer.bind<&SessionTest::on_retry_timer>(context_->loop,
                                                               this);
      context_->hold_timer.bind<&SessionTest::on_retry_timer>(context_->loop,
                                                              this);
    }
    return *context_;
  }

  // Routes example.com to these, in turn where nothing else is said.
  void route_to(std::vector<test::RouteNode> nodes,
                subscription::Algorithm algorithm =
                    subscription::Algorithm::kWrr) {
    for (const auto& node : nodes) runtimes_.push_back(node.runtime);
    context().snapshot = test::make_snapshot(
        {test::make_pool("example.com", nodes, algorithm)});
  }
  // A node on a Unix socket, and the only one.
  test::FakeNode& only_node() {
    node_.emplace(temp_ / "node");
    route_to({test::make_node(node_->address())});
    return *node_;
  }

  test::Peer client() { return client_on(test::unix_pair()); }
  test::Peer tcp_client() { return client_on(test::tcp_pair()); }
  test::Peer client_from(std::string_view address) {
    return client_on(test::unix_pair(), address);
  }
  test::Peer client_on(std::pair<UniqueFd, UniqueFd> ends,
                       std::string_view address = "192.0.2.7:4711") {
    sessions_.push_back(std::make_unique<Session>(context(), *this));
    shared_.connections.fetch_add(1);
    sessions_.back()->open(std::move(ends.first),
                           test::address_of(address),
                            std::make_shared<const Listener>(listener_));
    return test::Peer(std::move(ends.second));
  }
  Listener listener_{"8080", nullptr, false};
  [[nodiscard]] Session& session() { return *sessions_.back(); }
  // The only session waits for its next request.
  [[nodiscard]] bool idle() {
    return !session().closed() && !context().keepalive_deadline.empty();
  }

  // Lets the router do all that it can do now.
  void settle() {
    for (int i = 0; i < 30; ++i) context().loop.run_nowait();
  }
  // Time passes: the one that waits in `queue` has waited for long enough.
  void expire(DeadlineQueue& queue) {
    if (Deadline* const passed = queue.pop_passed(INT64_MAX)) {
      Session::of(*passed).on_deadline(queue);
    }
    settle();
  }

  // A node's connection; settles before it looks.
  std::optional<test::NodePeer> accept(test::FakeNode& node) {
    settle();
    return node.accept();
  }
  // The next request of a node, answered and closed.
  test::NodeRequest serve(test::FakeNode& node,
                          std::string_view answer = kOk) {
    auto peer = accept(node);
    EXPECT_TRUE(peer) << "nobody connected to the node";
    if (!peer) return {};
    auto request = peer->request();
    EXPECT_TRUE(request) << "no packet came";
    peer->answer(answer);
    settle();
    return request.value_or(test::NodeRequest{});
  }
  // The whole exchange: what the client gets for `request` where the node
  // answers `answer`.
  std::string exchange(std::string_view request, std::string_view answer) {
    test::FakeNode& node = node_ ? *node_ : only_node();
    test::Peer peer = client();
    peer.send(request);
    serve(node, answer);
    return peer.take();
  }
  // What the client gets for a request that no node hears of.
  std::string refusal(std::string_view request) {
    test::Peer peer = client();
    peer.send(request);
    settle();
    return peer.take();
  }

  static std::string status_of(const std::string& answer) {
    return answer.starts_with("HTTP/1.1 ") ? answer.substr(9, 3) : "(none)";
  }

  test::TempDir temp_;
  Options options_;
  Loop control_loop_;  // the control thread's, for what sessions ask of it
  SharedState shared_;
  std::unique_ptr<WorkerContext> context_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::optional<test::FakeNode> node_;
  std::vector<Ref<subscription::NodeRecord>> runtimes_;
  int closed_ = 0;

 private:
  void on_session_closed(Session&) override { ++closed_; }
  void on_retry_timer() {}
};

}  // namespace fealty::router
