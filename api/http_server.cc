#include "api/http_server.h"

#include <httplib.h>
#include <sys/stat.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>

namespace fealty::api {
namespace {

constexpr time_t kReadSeconds = 10;
constexpr time_t kWriteSeconds = 10;
constexpr std::size_t kPathBytesMax = 1024;
// Of a body that is too large so much is read and forgotten: a client that is
// still sending may not hear an answer.
constexpr std::size_t kDrainBytesMax = std::size_t{1} << 20;
constexpr int kBacklog = 1024;

// A fixed number of threads. Whoever brings work waits while all are busy and as
// many jobs wait, which leaves the rest in the kernel's queue.
class Workers final : public httplib::TaskQueue {
 public:
  explicit Workers(std::size_t count) : count_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this] { work(); });
    }
  }

  void enqueue(std::function<void()> job) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return jobs_.size() < count_; });
    jobs_.push_back(std::move(job));
    lock.unlock();
    work_.notify_one();
  }
  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void work() {
    while (true) {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      room_.notify_one();
      job();
    }
  }

  const std::size_t count_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::deque<std::function<void()>> jobs_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

// Of the last proxy before the router nothing is known, so the last word counts.
std::string last_of(std::string_view list) {
  const std::size_t comma = list.rfind(',');
  if (comma != list.npos) list.remove_prefix(comma + 1);
  while (list.starts_with(' ')) list.remove_prefix(1);
  while (list.ends_with(' ')) list.remove_suffix(1);
  return std::string(list);
}

bool has_body(const httplib::Request& request) {
  return request.has_header("Content-Length") ||
         request.has_header("Transfer-Encoding");
}

}  // namespace

class HttpServer::Server final : public httplib::Server {
 public:
  explicit Server(HttpServer& owner) : owner_(owner) {
    new_task_queue = [this]() -> httplib::TaskQueue* {
      return new Workers(owner_.settings_.threads);   // httplib deletes it
    };
    set_keep_alive_max_count(1);
    set_keep_alive_timeout(kReadSeconds);
    set_read_timeout(kReadSeconds);
    set_write_timeout(kWriteSeconds);
    route();
  }

  // Serves until stop().
  void run(int socket) {
    svr_sock_ = socket;
    listen_after_bind();
  }

 private:
  using HttpRequest = httplib::Request;
  using HttpResponse = httplib::Response;

  // httplib's own table would match paths by regular expressions; all that it
  // gets to see is whether a body is to be read.
  void route() {
    set_pre_routing_handler([this](const HttpRequest& in, HttpResponse& out) {
      const bool reads = (in.method == "POST" || in.method == "DELETE" ||
                          in.method == "PUT" || in.method == "PATCH") &&
                         in.path.size() <= kPathBytesMax;
      if (reads) return HandlerResponse::Unhandled;
      write(answer(in, {}, false), out);
      return HandlerResponse::Handled;
    });
    const auto read = [this](const HttpRequest& in, HttpResponse& out,
                             const httplib::ContentReader& reader) {
      std::string body;
      std::size_t bytes = 0;
      const bool whole =
          !has_body(in) || reader([&](const char* data, std::size_t size) {
            bytes += size;
            if (bytes <= kBodyBytesMax) body.append(data, size);
            return bytes <= kDrainBytesMax;
          });
      const bool too_large = bytes > kBodyBytesMax;
      if (!whole && !too_large) {
        write(with_text(bad_request("the body did not come whole")), out);
        return;
      }
      write(answer(in, std::move(body), too_large), out);
    };
    Post("[\\s\\S]*", read);
    Delete("[\\s\\S]*", read);
    Put("[\\s\\S]*", read);
    Patch("[\\s\\S]*", read);
    set_error_handler(Handler([](const HttpRequest&, HttpResponse& out) {
      if (!out.body.empty()) return;
      write(with_text(bad_request("this is no request")), out, out.status);
    }));
  }

  static Answer with_text(Answer answer) {
    answer.text = json_line(answer.body);
    return answer;
  }

  Answer answer(const HttpRequest& in, std::string body, bool too_large) const {
    Request request;
    request.entrance = owner_.settings_.entrance;
    request.method = in.method;
    request.path = in.path;
    for (const auto& [key, value] : in.params) {
      request.query.emplace_back(key, value);
    }
    request.body = std::move(body);
    request.body_too_large = too_large;
    identify_client(in, request);
    request.authorization = in.get_header_value("Authorization");
    request.hex_username = in.get_header_value("X-uwsgi-it-username");
    request.hex_password = in.get_header_value("X-uwsgi-it-password");
    request.if_none_match = in.get_header_value("If-None-Match");
    request.idempotency_key = in.get_header_value("Idempotency-Key");
    for (const char* const name :
         {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
          "X-Client-DN", "Origin", "Sec-Fetch-Site"}) {
      request.passed_on = request.passed_on || in.has_header(name);
    }
    return owner_.handle_(request);
  }

  // A Unix socket is opened to nobody but the router.
  void identify_client(const HttpRequest& in, Request& out) const {
    const bool is_unix = owner_.settings_.address.is_unix();
    out.address = is_unix ? "" : in.remote_addr;
    bool trusted = is_unix;
    if (!is_unix) {
      const bool v6 = in.remote_addr.find(':') != std::string::npos;
      const auto peer = Address::parse(
          (v6 ? "[" + in.remote_addr + "]" : in.remote_addr) + ":1");
      for (const Network& network : owner_.settings_.trusted) {
        trusted = trusted || (peer && network.contains(*peer));
      }
    }
    if (!trusted) return;
    // One field of each: the router writes them, and takes a client's away.
    if (in.get_header_value_count("X-Forwarded-For") == 1) {
      out.address = last_of(in.get_header_value("X-Forwarded-For"));
    }
    if (in.get_header_value_count("X-Client-DN") == 1) {
      out.subject = in.get_header_value("X-Client-DN");
    }
  }

  static void write(const Answer& answer, HttpResponse& out,
                    std::optional<int> status = {}) {
    out.status = status.value_or(answer.status);
    for (const auto& [name, value] : answer.headers) {
      out.set_header(name, value);
    }
    if (out.status != 204 && out.status != 304) {
      out.set_content(answer.text, answer.type);
    }
  }

  HttpServer& owner_;
};

HttpServer::HttpServer(Settings settings, Handle handle)
    : settings_(std::move(settings)), handle_(std::move(handle)) {}

HttpServer::~HttpServer() { stop(); }

Status HttpServer::bind() {
  const Address& address = settings_.address;
  const auto failed = [&] {
    return Error{"cannot listen on " + address.to_string() + ": " +
                 std::strerror(errno)};
  };
  Status stale = remove_stale_socket(address, SOCK_STREAM);
  if (!stale) return stale;
  socket_.reset(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_.valid()) return failed();
  const int on = 1;
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // The file never has more rights than it is to have.
  const mode_t umask = ::umask(0777);
  const int bound = ::bind(socket_.get(), address.data(), address.length());
  ::umask(umask);
  if (bound != 0) return failed();
  file_ = SocketFile(address);
  const std::string path = address.unix_path();
  if (path.starts_with('/') && ::chmod(path.c_str(), settings_.mode) != 0) {
    return failed();
  }
  if (::listen(socket_.get(), kBacklog) != 0) return failed();
  return Ok{};
}

void HttpServer::start() {
  server_ = std::make_unique<Server>(*this);
  // httplib closes it.
  thread_ = std::thread(
      [server = server_.get(), socket = socket_.release()] {
        server->run(socket);
      });
  // Before that, stop() would not be heard.
  while (!server_->is_running()) std::this_thread::yield();
}

void HttpServer::stop() {
  if (!thread_.joinable()) return;
  server_->stop();
  thread_.join();
}

}  // namespace fealty::api
