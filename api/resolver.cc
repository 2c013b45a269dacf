#include "api/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>

#include <algorithm>
#include <array>

#include "base/clock.h"

namespace fealty::api {
namespace {

constexpr std::size_t kRecordsMax = 64;
using Records = std::vector<std::string>;

struct Answered {
  RecordType type;
  int status = ARES_ETIMEOUT;
  bool done = false;
  Records records = {};
};

int parse_txt(const unsigned char* bytes, int size, Records& out) {
  ares_txt_ext* list = nullptr;
  const int status = ares_parse_txt_reply_ext(bytes, size, &list);
  for (const ares_txt_ext* part = list; part != nullptr; part = part->next) {
    if (part->record_start != 0 || out.empty()) out.emplace_back();
    out.back().append(reinterpret_cast<const char*>(part->txt), part->length);
  }
  ares_free_data(list);
  return status;
}

int parse_ns(const unsigned char* bytes, int size, Records& out) {
  hostent* host = nullptr;
  const int status = ares_parse_ns_reply(bytes, size, &host);
  if (host == nullptr) return status;
  for (char** name = host->h_aliases; *name != nullptr; ++name) {
    out.emplace_back(*name);
  }
  ares_free_hostent(host);
  return status;
}

int parse_addresses(const unsigned char* bytes, int size, int family,
                    Records& out) {
  hostent* host = nullptr;
  const int status =
      family == AF_INET
          ? ares_parse_a_reply(bytes, size, &host, nullptr, nullptr)
          : ares_parse_aaaa_reply(bytes, size, &host, nullptr, nullptr);
  if (host == nullptr) return status;
  for (char** address = host->h_addr_list; *address != nullptr; ++address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(family, *address, text.data(), text.size());
    out.emplace_back(text.data());
  }
  ares_free_hostent(host);
  return status;
}

void on_answer(void* argument, int status, int, unsigned char* bytes,
               int size) {
  auto& answered = *static_cast<Answered*>(argument);
  answered.done = true;
  answered.status = status;
  if (status != ARES_SUCCESS) return;
  Records& out = answered.records;
  switch (answered.type) {
    case RecordType::kTxt: status = parse_txt(bytes, size, out); break;
    case RecordType::kNs: status = parse_ns(bytes, size, out); break;
    case RecordType::kA:
      status = parse_addresses(bytes, size, AF_INET, out);
      break;
    case RecordType::kAaaa:
      status = parse_addresses(bytes, size, AF_INET6, out);
      break;
  }
  answered.status = status;
  if (out.size() > kRecordsMax) out.resize(kRecordsMax);
}

// An ares_channel, and the one question that it is for.
class Channel {
 public:
  Channel(const std::vector<Address>& servers, bool recursive,
          std::int64_t left_ms) {
    ares_options options{};
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                    (recursive ? 0 : ARES_FLAG_NORECURSE);
    const auto count = static_cast<std::int64_t>(
        std::clamp<std::size_t>(servers.size(), 1, 4));
    options.timeout = static_cast<int>(std::max<std::int64_t>(left_ms / count, 50));
    options.tries = 1;
    made_ = ares_init_options(
                &channel_, &options,
                ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) ==
            ARES_SUCCESS;
    if (!made_ || servers.empty()) return;
    std::string list;
    for (const Address& server : servers) {
      list += (list.empty() ? "" : ",") + server.to_string();
    }
    usable_ = ares_set_servers_ports_csv(channel_, list.c_str()) == ARES_SUCCESS;
  }
  ~Channel() {
    if (made_) ares_destroy(channel_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] bool usable() const { return made_ && usable_; }
  void ask(const std::string& name, int type, Answered& answered,
           std::int64_t deadline_ms) {
    ares_query(channel_, name.c_str(), ns_c_in, type, on_answer, &answered);
    while (!answered.done) {
      const std::int64_t left_ms = deadline_ms - coarse_monotonic_ms();
      if (left_ms <= 0) return ares_cancel(channel_);
      turn(static_cast<int>(std::min<std::int64_t>(left_ms, 100)));
    }
  }

 private:
  void turn(int wait_ms) {
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    const int wanted = ares_getsock(channel_, sockets.data(),
                                    ARES_GETSOCK_MAXNUM);
    std::vector<pollfd> polled;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
      const bool reads = ARES_GETSOCK_READABLE(wanted, i) != 0;
      const bool writes = (static_cast<unsigned>(wanted) &
                           (1U << (i + ARES_GETSOCK_MAXNUM))) != 0;
      if (!reads && !writes) continue;
      polled.push_back({sockets[static_cast<std::size_t>(i)],
                        static_cast<short>((reads ? POLLIN : 0) |
                                           (writes ? POLLOUT : 0)),
                        0});
    }
    ::poll(polled.data(), polled.size(), wait_ms);
    // Also what took too long.
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (const pollfd& one : polled) {
      const auto ready = [&](short events) {
        return (one.revents & events) != 0 ? one.fd : ARES_SOCKET_BAD;
      };
      if (one.revents != 0) {
        ares_process_fd(channel_, ready(POLLIN | POLLERR | POLLHUP),
                        ready(POLLOUT));
      }
    }
  }

  ares_channel channel_ = nullptr;
  bool made_ = false;
  bool usable_ = true;
};

int type_number(RecordType type) {
  switch (type) {
    case RecordType::kNs: return ns_t_ns;
    case RecordType::kA: return ns_t_a;
    case RecordType::kAaaa: return ns_t_aaaa;
    case RecordType::kTxt: return ns_t_txt;
  }
  return ns_t_txt;
}

}  // namespace

Result<Records> CaresResolver::ask(const std::string& name, RecordType type,
                                   const std::vector<Address>& servers,
                                   std::int64_t deadline_ms) const {
  const std::int64_t left_ms = deadline_ms - coarse_monotonic_ms();
  if (left_ms <= 0) return Error{"the DNS took too long"};
  Answered answered{type};
  const bool recursive = servers.empty();
  Channel channel(recursive ? resolvers_ : servers, recursive, left_ms);
  if (!channel.usable()) return Error{"the DNS cannot be asked"};
  channel.ask(name, type_number(type), answered, deadline_ms);
  if (answered.status == ARES_SUCCESS || answered.status == ARES_ENODATA ||
      answered.status == ARES_ENOTFOUND) {
    return std::move(answered.records);
  }
  return Error{"the DNS says: " + std::string(ares_strerror(answered.status))};
}

}  // namespace fealty::api
