#include "router/spawner.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

// Three names of at most 255 bytes, and what is around them.
constexpr std::size_t kPacketBytesMost = 1024;

const subscription::Node* sleeper_of(const subscription::Pool& pool) {
  for (const subscription::Node& node : pool.sleeping()) {
    if (!node.runtime->vassal().empty()) return &node;
  }
  return nullptr;
}

}  // namespace

Spawner::Spawner(const Clock& clock, const std::optional<Address>& emperor)
    : clock_(clock), emperor_(emperor) {}

void Spawner::ask(const subscription::Pool& pool) {
  const subscription::Node* const sleeper = sleeper_of(pool);
  if (!emperor_ || sleeper == nullptr) return;
  const std::string vassal(sleeper->runtime->vassal());
  if (!may_ask(vassal)) return;
  std::uint64_t left_out = 0;
  if (send(pool, *sleeper)) {
    ++counters_.sent;
    if (!ask_log_.allow(clock_.monotonic_ms(), &left_out)) return;
    log::info("asked the Emperor for vassal {}, for {}", log::printable(vassal),
              pool.key());
    return;
  }
  const int error = errno;
  ++counters_.dropped;
  if (!drop_log_.allow(clock_.monotonic_ms(), &left_out)) return;
  log::warning("the Emperor's socket {} did not take the request for vassal "
               "{}: {}; see subscription.emperor",
               emperor_->to_string(), log::printable(vassal),
               std::strerror(error));
}

// Remembers that it was asked for, if so.
bool Spawner::may_ask(const std::string& vassal) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (asked_ms_.size() >= kRememberedMost) {
    std::erase_if(asked_ms_, [&](const auto& asked) {
      return now_ms - asked.second >= kAgain_ms;
    });
    if (asked_ms_.size() >= kRememberedMost) return false;
  }
  const auto [asked, is_new] = asked_ms_.try_emplace(vassal, now_ms);
  if (!is_new && now_ms - asked->second < kAgain_ms) return false;
  asked->second = now_ms;
  return true;
}

// False: errno says why.
bool Spawner::send(const subscription::Pool& pool,
                   const subscription::Node& sleeper) {
  std::array<char, kPacketBytesMost> bytes;
  wire::UwsgiWriter packet(bytes);
  packet.add("cmd", "spawn");
  packet.add("vassal", sleeper.runtime->vassal());
  packet.add("key", pool.key());
  if (sleeper.address().length() != 0) packet.add("socket", sleeper.name());
  const auto whole = packet.finish(kModifierEmperor, 0);
  if (!socket_.valid()) {
    socket_.reset(::socket(emperor_->family(),
                           SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_.valid()) return false;
  }
  return ::sendto(socket_.get(), whole.data(), whole.size(),
                  MSG_DONTWAIT | MSG_NOSIGNAL, emperor_->data(),
                  emperor_->length()) >= 0;
}

}  // namespace fealty::router
