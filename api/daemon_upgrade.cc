// SIGUSR2: another process takes this one's place, most likely of a newer binary.
//
//   old                                new
//   hands over its sockets and the
//   key, which only root can read   →  opens the database, serves, announces itself,
//                                      and says that it does
//   answers what it has begun, and  ←
//   ends
//
// Both answer for a moment; what they know is in the database. Where the new one ends
// without a word, the old one goes on.

#include <sodium.h>
#include <systemd/sd-daemon.h>

#include <algorithm>

#include "api/daemon.h"
#include "api/json.h"
#include "base/log.h"

namespace fealty::api {
namespace {

// The key's digits, then {address: descriptor}.
constexpr std::size_t kKeyDigits = 2 * Sealer::kKeyBytes;
constexpr std::size_t kMost = 4'096;

}  // namespace

void Daemon::on_upgrade_signal(int) {
  if (ending_ || successor_.is_starting()) return log::warning("SIGUSR2: not now");
  const Json sockets = {{started_.listen.to_string(), public_.socket()},
                        {started_.admin_listen.to_string(), admin_.socket()}};
  std::string bytes = sealer_->digits();
  bytes.reserve(kMost);                  // no copies of the key are left behind
  bytes += sockets.dump();
  const Status begun = successor_.start(
      bytes, {public_.socket(), admin_.socket()}, [this](const Status& serves) {
        if (serves) return retire();
        log::error("upgrade: {}", serves.error().message);
      });
  sodium_memzero(bytes.data(), bytes.size());
  if (!begun) log::error("upgrade: {}", begun.error().message);
}

void Daemon::retire() {
  if (ending_) return;
  log::info("upgrade: pid {} serves; this process ends with its last request",
            successor_.pid());
  ::sd_notifyf(0, "MAINPID=%d", static_cast<int>(successor_.pid()));
  if (announcer_) announces_alike() ? announcer_->leave() : announcer_->stop();
  public_.leave();
  admin_.leave();
  end();
}

// The successor, by what the configuration is now.
bool Daemon::announces_alike() {
  const auto now = load_();
  return now && now->subscribe == options_.get()->subscribe &&
         now->listen.to_string() == started_.listen.to_string();
}

Status Daemon::inherit(Inheritance inheritance) {
  predecessor_.emplace(std::move(inheritance));
  const std::string_view bytes = predecessor_->bytes();
  sealer_ = Sealer::of_digits(bytes.substr(0, kKeyDigits));
  const Json sockets =
      Json::parse(bytes.substr(std::min(kKeyDigits, bytes.size())), nullptr, false);
  predecessor_->forget_bytes();
  if (!sealer_ || !sockets.is_object()) {
    return Error{"what the process before this one hands over is broken"};
  }
  for (const auto& [address, number] : sockets.items()) {
    if (!number.is_number_integer()) continue;
    UniqueFd socket(number.get<int>());
    if (address == started_.listen.to_string()) {
      public_.inherit(std::move(socket));
    } else if (address == started_.admin_listen.to_string()) {
      admin_.inherit(std::move(socket));
    } else if (const auto parsed = Address::parse(address)) {
      outdated_.emplace_back(*parsed);
    }
  }
  return Ok{};
}

// This process serves: the sockets' files are its own from now on.
void Daemon::own_files() {
  public_.own_file();
  admin_.own_file();
  predecessor_->tell();
  predecessor_.reset();
  outdated_.clear();
}

}  // namespace fealty::api
