// Announcements by the thousand, for the scale bench: keys k0.bench.example.com, k1..., one node each.
//
// What it is for: what the router does with a whole platform's keys, and whether requests notice the
//   packets: refreshes of known nodes, changes (another weight), and junk.
// Shape: datagrams to one Unix or UDP subscription server, uwsgi packets as uWSGI 2.0.21 sends them.
//   --fill: every key once, as fast as the server reads. Otherwise for --seconds, in ticks of a
//   millisecond, at the given rates; what the socket does not take is counted, not sent again.
// Output: one line of JSON: how many of each were sent, and how many the socket did not take.
// Threads: one. Bounds: kBatch datagrams a call.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>

namespace fealty::bench {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kJunkBytesMax = 1024;

struct Options {
  std::string server;
  std::string address = "127.0.0.1:9";
  std::uint64_t keys = 1'000'000;
  bool fill = false;
  double refreshes = 0;
  double changes = 0;
  double junk = 0;
  double seconds = 10;
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "bench_announce: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int connect_unix(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.c_str(), std::min(path.size() + 1, sizeof name.sun_path - 1));
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) die(path);
  return fd;
}

int connect_udp(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &name.sin_addr) != 1) die(address);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) die(address);
  return fd;
}

void append_text(std::string& packet, std::string_view text) {
  packet.push_back(static_cast<char>(text.size() & 0xff));
  packet.push_back(static_cast<char>(text.size() >> 8));
  packet.append(text);
}

std::string announcement(const Options& options, std::uint64_t key, int weight) {
  std::string packet(4, '\0');
  const auto pair = [&](std::string_view name, std::string_view value) {
    append_text(packet, name);
    append_text(packet, value);
  };
  pair("key", "k" + std::to_string(key) + ".bench.example.com");
  pair("address", options.address);
  pair("modifier1", "0");
  pair("modifier2", "0");
  pair("cores", "1");
  pair("load", "0");
  pair("weight", std::to_string(weight));
  const std::size_t bytes = packet.size() - 4;
  packet[0] = static_cast<char>(224);
  packet[1] = static_cast<char>(bytes & 0xff);
  packet[2] = static_cast<char>(bytes >> 8);
  return packet;
}

// Gathers datagrams and hands them to the socket, many a call.
class Sender {
 public:
  Sender(int fd, bool waits) : fd_(fd), flags_(waits ? 0 : MSG_DONTWAIT) {}

  void add(std::string packet) {
    packets_[count_++] = std::move(packet);
    if (count_ == kBatch) flush();
  }
  void flush() {
    std::array<mmsghdr, kBatch> messages{};
    std::array<iovec, kBatch> parts{};
    for (std::size_t i = 0; i < count_; ++i) {
      parts[i] = {packets_[i].data(), packets_[i].size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    std::size_t sent = 0;
    while (sent < count_) {
      const int n = ::sendmmsg(fd_, messages.data() + sent, static_cast<unsigned>(count_ - sent), flags_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != ENOBUFS) die("sendmmsg");
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    dropped_ += count_ - sent;
    count_ = 0;
  }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  int fd_;
  int flags_;
  std::array<std::string, kBatch> packets_;
  std::size_t count_ = 0;
  std::uint64_t dropped_ = 0;
};

// Half of the junk is noise, half a packet that is cut somewhere or has a byte changed.
std::string junk(const Options& options, std::mt19937_64& random) {
  std::string packet = announcement(options, random() % options.keys, 1);
  if (random() % 2 == 0) {
    packet.resize(1 + random() % kJunkBytesMax);
    for (char& c : packet) c = static_cast<char>(random());
    return packet;
  }
  packet.resize(1 + random() % (packet.size() - 1));
  packet[random() % packet.size()] = static_cast<char>(random());
  return packet;
}

// What is due by now at `rate` and was not done yet.
std::uint64_t due(double rate, double seconds, std::uint64_t done) {
  const auto total = static_cast<std::uint64_t>(rate * seconds);
  return total > done ? total - done : 0;
}

void fill(const Options& options, Sender& sender) {
  for (std::uint64_t key = 0; key < options.keys; ++key) sender.add(announcement(options, key, 1));
  sender.flush();
  std::printf("{\"filled\": %llu}\n", static_cast<unsigned long long>(options.keys));
}

void load(const Options& options, Sender& sender) {
  using Clock = std::chrono::steady_clock;
  std::mt19937_64 random(42);
  std::uint64_t refreshed = 0;
  std::uint64_t changed = 0;
  std::uint64_t junked = 0;
  const auto start = Clock::now();
  for (;;) {
    const double now = std::chrono::duration<double>(Clock::now() - start).count();
    if (now >= options.seconds) break;
    for (auto n = due(options.refreshes, now, refreshed); n > 0; --n, ++refreshed) {
      sender.add(announcement(options, random() % (options.keys / 2), 1));
    }
    // The upper half of the keys changes, the lower half is refreshed.
    for (auto n = due(options.changes, now, changed); n > 0; --n, ++changed) {
      sender.add(announcement(options, options.keys / 2 + random() % (options.keys / 2),
                              static_cast<int>(2 + changed % 1000)));
    }
    for (auto n = due(options.junk, now, junked); n > 0; --n, ++junked) sender.add(junk(options, random));
    sender.flush();
    std::this_thread::sleep_until(Clock::now() + std::chrono::milliseconds(1));
  }
  std::printf("{\"refreshes\": %llu, \"changes\": %llu, \"junk\": %llu, \"dropped\": %llu}\n",
              static_cast<unsigned long long>(refreshed), static_cast<unsigned long long>(changed),
              static_cast<unsigned long long>(junked), static_cast<unsigned long long>(sender.dropped()));
}

constexpr const char* kUsage =
    "usage: bench_announce --server PATH|IPV4:PORT [--address NODE] [--keys N]\n"
    "         --fill | [--refreshes R] [--changes R] [--junk R] [--seconds S]     (R: a second)\n";

bool take(Options& options, std::string_view name, const char* value) {
  if (name == "--server") options.server = value;
  else if (name == "--address") options.address = value;
  else if (name == "--keys") options.keys = std::strtoull(value, nullptr, 10);
  else if (name == "--refreshes") options.refreshes = std::atof(value);
  else if (name == "--changes") options.changes = std::atof(value);
  else if (name == "--junk") options.junk = std::atof(value);
  else if (name == "--seconds") options.seconds = std::atof(value);
  else return false;
  return true;
}

int run(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    if (std::string_view(arguments[i]) == "--fill") {
      options.fill = true;
    } else if (i + 1 >= count || !take(options, arguments[i], arguments[i + 1])) {
      std::fputs(kUsage, stderr);
      return 2;
    } else {
      ++i;
    }
  }
  if (options.server.empty() || options.keys < 2) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const int fd = options.server.starts_with('/') ? connect_unix(options.server) : connect_udp(options.server);
  Sender sender(fd, options.fill);
  options.fill ? fill(options, sender) : load(options, sender);
  return 0;
}

}  // namespace
}  // namespace fealty::bench

int main(int argc, char** argv) { return fealty::bench::run(argc, argv); }
