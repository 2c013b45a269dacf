// Clients and nodes that do as they like, at random and with a printed seed:
// whatever they do, a client gets each request's own answer, whole and in
// order, or an answer of the router's, or a connection that plainly broke; and
// nothing is left behind.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <list>
#include <string>
#include <vector>

#include "http/response_head.h"
#include "tests/unit/http/chunked_model.h"
#include "tests/unit/http/random_text.h"
#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

std::string pattern(unsigned id, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    text[i] = static_cast<char>('a' + (id * 7 + i * (id % 5 + 1)) % 26);
  }
  return text;
}

std::string chunked(std::string_view body, test::Random& random) {
  std::string text;
  while (!body.empty()) {
    const std::string_view part =
        body.substr(0, 1 + random.below(std::min(body.size(), 30'000UL)));
    char line[32];
    std::snprintf(line, sizeof line, "%zx\r\n", part.size());
    text += line + std::string(part) + "\r\n";
    body.remove_prefix(part.size());
  }
  return text + "0\r\n\r\n";
}

struct Request {
  unsigned id = 0;
  bool head = false;
  bool known = true;            // its domain
  bool has_body = false;
  std::size_t body_bytes = 0;   // of the request
  std::size_t answer_bytes = 0;
};

// One run: a client with its requests, two nodes, and the dice.
class SessionChaos : public SessionTest {
 protected:
  struct Connection {
    test::NodePeer peer;
    std::string answer;         // what is left of it to be sent
    bool decided = false;
    bool cut = false;           // closes before the end of the answer
  };

  Request make_request(unsigned id, std::string& stream) {
    Request request;
    request.id = id;
    request.head = random_.one_in(8);
    request.known = !random_.one_in(10);
    request.answer_bytes = size();
    const bool has_body = !request.head && random_.one_in(3);
    request.has_body = has_body;
    if (has_body) request.body_bytes = size();
    stream += request.head ? "HEAD" : has_body ? "POST" : "GET";
    stream += " /" + std::to_string(id) + "?" +
              std::to_string(request.answer_bytes) + " HTTP/1.1\r\nHost: " +
              (request.known ? "example.com" : "unknown.example") + "\r\n";
    const std::string body = pattern(id, request.body_bytes);
    if (!has_body) {
      stream += "\r\n";
    } else if (random_.one_in(2)) {
      stream += "Transfer-Encoding: chunked\r\n\r\n" + chunked(body, random_);
    } else {
      stream += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                body;
    }
    return request;
  }
  std::size_t size() {
    switch (random_.below(4)) {
      case 0: return 0;
      case 1: return random_.below(200);
      case 2: return random_.below(20'000);
      default: return random_.below(300'000);
    }
  }

  // What a node says to a request, well or badly.
  std::string make_answer(const test::NodeRequest& request, bool& cut) {
    const unsigned id =
        static_cast<unsigned>(std::stoul(request["PATH_INFO"].substr(1)));
    const std::string body =
        pattern(id, std::stoul(request["QUERY_STRING"]));
    const bool head = request["REQUEST_METHOD"] == "HEAD";
    const std::string eol = random_.one_in(3) ? "\n" : "\r\n";
    std::string text;
    while (random_.one_in(6)) {
      text += "HTTP/1.1 103 Early Hints" + eol + "Link: x" + eol + eol;
    }
    text += "HTTP/1.1 200 OK" + eol + "X-Id: " + std::to_string(id) + eol;
    switch (random_.below(3)) {
      case 0:
        text += "Content-Length: " + std::to_string(body.size()) + eol + eol;
        if (!head) text += body;
        break;
      case 1:
        text += "Transfer-Encoding: chunked" + eol + eol;
        if (!head) text += chunked(body, random_);
        break;
      default:
        // Its end is the connection's: it cannot be cut unnoticed.
        text += eol;
        if (!head) text += body;
        return text;
    }
    if (unruly_ && random_.one_in(6)) {
      text.resize(random_.below(text.size()));
      cut = true;
    }
    return text;
  }

  // The whole request is there, as it was sent.
  static bool whole(const test::NodeRequest& request) {
    const std::string length = request["CONTENT_LENGTH"];
    return length == "(none)" || request.body.size() == std::stoul(length);
  }
  static void check_body(const test::NodeRequest& request) {
    const unsigned id =
        static_cast<unsigned>(std::stoul(request["PATH_INFO"].substr(1)));
    ASSERT_TRUE(request.body == pattern(id, request.body.size()));
  }

  // One of the nodes stops listening, or is there again.
  void flap() {
    const bool first = random_.one_in(2);
    test::FakeNode& node = first ? one_ : two_;
    if (random_.one_in(2)) {
      node.stop_listening();
      return;
    }
    const std::string path = temp_ / (first ? "one" : "two");
    ASSERT_EQ(::unlink(path.c_str()), 0);
    node = test::FakeNode(path);
  }
  void retry_held() {
    DeadlineQueue& queue = context().hold_deadline;
    Deadline* const passed = queue.pop_passed(INT64_MAX);
    if (passed == nullptr) return;
    if (Session::of(*passed).before_retry()) {
      Session::of(*passed).on_deadline(queue);
    }
  }

  void step_nodes() {
    if (flapping_ && random_.one_in(50)) flap();
    if (random_.one_in(4)) retry_held();
    for (test::FakeNode* node : {&one_, &two_}) {
      if (auto peer = node->accept()) {
        if (unruly_ && random_.one_in(12)) continue;  // closed unread: a reset
        connections_.push_back({std::move(*peer), "", false, false});
      }
    }
    for (auto at = connections_.begin(); at != connections_.end();) {
      if (random_.one_in(2) || step_node(*at)) {
        ++at;
      } else {
        at = connections_.erase(at);
      }
    }
  }
  // False: it is done and closes.
  bool step_node(Connection& connection) {
    if (!connection.decided) {
      connection.peer.read_some(1 + random_.below(40'000));
      if (connection.peer.end()) return false;
      if (unruly_ && random_.one_in(200)) return false;
      const auto request = parsed(connection.peer);
      if (!request) return true;
      const bool early = unruly_ && random_.one_in(40);
      if (!early && !whole(*request)) return true;
      check_body(*request);
      connection.answer = make_answer(*request, connection.cut);
      connection.decided = true;
    }
    const std::size_t sent = connection.peer.send_some(
        std::string_view(connection.answer)
            .substr(0, 1 + random_.below(100'000)));
    connection.answer.erase(0, sent);
    // A client that went away has taken the node's connection with it.
    if (sent == 0 && connection.peer.ended()) return false;
    return !connection.answer.empty();
  }
  // As NodePeer::request(), without reading.
  static std::optional<test::NodeRequest> parsed(test::NodePeer& peer) {
    const std::string_view all = peer.received();
    const auto header = wire::decode_uwsgi_header(all);
    if (!header ||
        all.size() < wire::kUwsgiHeaderBytes + header->data_bytes) {
      return std::nullopt;
    }
    const std::size_t packet_bytes =
        wire::kUwsgiHeaderBytes + header->data_bytes;
    return test::NodeRequest{
        header->modifier1, header->modifier2,
        test::decode_variables(all.substr(4, header->data_bytes)),
        std::string(all.substr(packet_bytes))};
  }

  void play(std::size_t count);
  void clear_away();
  void check(const std::vector<Request>& requests, std::string_view got,
             bool ended);

  test::Random random_;
  test::FakeNode one_{temp_ / "one"};
  test::FakeNode two_{temp_ / "two"};
  std::list<Connection> connections_;
  bool unruly_ = false;
  bool flapping_ = false;
};

// Takes the next answer off `got`; its status, or 0 where it is not whole.
struct Answer {
  int status = 0;
  std::string head;
  std::string body;
};

Answer take_answer(std::string_view& got, bool to_head) {
  while (true) {
    const std::size_t head_bytes = http::find_head_end(got);
    if (head_bytes == 0) return {};
    http::ResponseHead head;
    if (!http::parse_response_head(got.substr(0, head_bytes), to_head, head)) {
      ADD_FAILURE() << "no HTTP: " << got.substr(0, head_bytes);
      return {};
    }
    const std::string text(got.substr(0, head_bytes));
    std::string_view rest = got.substr(head_bytes);
    if (head.interim()) {
      got = rest;
      continue;
    }
    Answer answer{head.status, text, ""};
    switch (head.framing) {
      case http::AnswerFraming::kNone:
        break;
      case http::AnswerFraming::kLength:
        if (rest.size() < head.content_length) return {};
        answer.body = rest.substr(0, head.content_length);
        rest.remove_prefix(head.content_length);
        break;
      case http::AnswerFraming::kChunked: {
        const test::ChunkedModel model(rest);
        EXPECT_NE(model.step, http::ChunkedDecoder::Step::kBad);
        if (model.step != http::ChunkedDecoder::Step::kEnd) return {};
        answer.body = model.data;
        rest.remove_prefix(model.consumed);
        break;
      }
      case http::AnswerFraming::kClose:
        ADD_FAILURE() << "an HTTP/1.1 client needs no end by closing";
        return {};
    }
    got = rest;
    return answer;
  }
}

void SessionChaos::check(const std::vector<Request>& requests,
                         std::string_view got, bool ended) {
  bool closes = false;
  for (const Request& request : requests) {
    const Answer answer = take_answer(got, request.head);
    if (answer.status == 0 || closes) {
      EXPECT_TRUE(ended) << "request " << request.id << " is unanswered";
      EXPECT_TRUE(unruly_ || closes) << "request " << request.id;
      if (closes) {
        EXPECT_EQ(answer.status, 0);
      }
      return;
    }
    closes = answer.head.find("\r\nConnection: close\r\n") != std::string::npos;
    if (!request.known) {
      EXPECT_EQ(answer.status, 404);
    } else if (answer.status == 200) {
      const std::string id = "\r\nX-Id: " + std::to_string(request.id) + "\r\n";
      EXPECT_NE(answer.head.find(id), std::string::npos)
          << request.id << ": " << answer.head;
      EXPECT_TRUE(request.head ||
                  answer.body == pattern(request.id, request.answer_bytes))
          << request.id << ": " << answer.body.size();
    } else {
      // Whether a node read a body that it left is not known.
      EXPECT_TRUE(unruly_ || (flapping_ && request.has_body)) << answer.head;
      EXPECT_TRUE(answer.status == 502 || answer.status == 503) << answer.head;
    }
  }
  EXPECT_EQ(got, "");
}

void SessionChaos::play(std::size_t count) {
  connections_.clear();
  auto ends = random_.one_in(2) ? test::tcp_pair() : test::unix_pair();
  if (random_.one_in(2)) {
    const int few = static_cast<int>(1 + random_.below(20'000));
    ::setsockopt(ends.first.get(), SOL_SOCKET, SO_SNDBUF, &few, sizeof few);
  }
  test::Peer peer = client_on(std::move(ends));
  std::string stream;
  std::vector<Request> requests;
  for (unsigned id = 1; id <= count; ++id) {
    requests.push_back(make_request(id, stream));
  }
  const bool vanishes = unruly_ && random_.one_in(5);
  std::size_t turns = vanishes ? random_.below(500) : SIZE_MAX;
  const std::size_t read_most = 1 + random_.below(60'000);
  const Counters& counters = context().counters;
  const std::uint64_t taken_before = counters.received_bytes.load();
  const std::uint64_t given_before = counters.sent_bytes.load();
  std::size_t sent = 0;
  // Nothing is under way any more, on either side.
  const auto over = [&] {
    if (turns-- == 0 || peer.end()) return true;
    return idle() &&
           counters.received_bytes.load() - taken_before == stream.size() &&
           counters.sent_bytes.load() - given_before == peer.received().size();
  };
  EXPECT_TRUE(test::eventually([&] {
    for (int i = 0; i < 1'000; ++i) {
      if (over()) return true;
      if (random_.one_in(2)) {
        sent += peer.send_some(std::string_view(stream).substr(
            sent, 1 + random_.below(random_.one_in(3) ? 50 : 80'000)));
      }
      if (random_.one_in(2)) peer.read_some(read_most);
      for (std::size_t n = random_.below(3); n > 0; --n) {
        context().loop.run_nowait();
      }
      step_nodes();
      EXPECT_LE(context().buffers.lent(), 6U);
    }
    return false;
  }));
  if (!vanishes) check(requests, peer.received(), peer.end().has_value());
  peer.close();
  clear_away();
}

// All that is still on its way ends.
void SessionChaos::clear_away() {
  connections_.clear();
  EXPECT_TRUE(test::eventually([&] {
    settle();
    while (one_.accept() || two_.accept()) {
    }
    return session().closed();
  }));
  EXPECT_EQ(context().buffers.lent(), 0U);
  sessions_.clear();
  for (const auto& node : runtimes_) {
    EXPECT_EQ(node->in_flight.load(), 0U);
    node->on_success();  // nobody rests in the next round
  }
}

TEST_F(SessionChaos, OrderlyPeersGetEveryAnswer) {
  options_.limits.body_memory_bytes = 10'000;
  route_to({test::make_node(one_.address()), test::make_node(two_.address())});
  for (int round = 0; round < 60 && !HasFailure(); ++round) play(8);
}

TEST_F(SessionChaos, NodesThatComeAndGoCostNoRequestWithoutABody) {
  options_.limits.body_memory_bytes = 10'000;
  options_.limits.hold_ms = 600'000;
  flapping_ = true;
  route_to({test::make_node(one_.address()), test::make_node(two_.address())});
  for (int round = 0; round < 100 && !HasFailure(); ++round) play(8);
  EXPECT_GT(context().counters.held.load(), 0U);
}

TEST_F(SessionChaos, UnrulyPeersGetNothingWrong) {
  options_.limits.body_memory_bytes = 10'000;
  unruly_ = true;
  route_to({test::make_node(one_.address()), test::make_node(two_.address())});
  for (int round = 0; round < 150 && !HasFailure(); ++round) play(8);
}

}  // namespace
}  // namespace fealty::router
