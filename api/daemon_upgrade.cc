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

#include "api/daemon.h"
#include "api/json.h"
#include "base/log.h"

namespace fealty::api {
namespace {

// {"key": digits, "sockets": {address: descriptor}}
constexpr const char* kKey = "key";
constexpr const char* kSockets = "sockets";

}  // namespace

void Daemon::on_upgrade_signal(int) {
  if (ending_ || successor_.is_starting()) return log::warning("SIGUSR2: not now");
  const Json handover = {
      {kKey, sealer_->digits()},
      {kSockets,
       {{started_.listen.to_string(), public_.socket()},
        {started_.admin_listen.to_string(), admin_.socket()}}}};
  std::string bytes = handover.dump();
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
  if (announcer_) announcer_->leave();
  public_.leave_file();
  admin_.leave_file();
  end();
}

Status Daemon::inherit(Inheritance inheritance) {
  predecessor_.emplace(std::move(inheritance));
  const Json handover = Json::parse(predecessor_->bytes(), nullptr, false);
  predecessor_->forget_bytes();
  const Error broken{"what the process before this one hands over is broken"};
  if (!handover.is_object() || !handover.contains(kKey) ||
      !handover[kKey].is_string() || !handover.contains(kSockets) ||
      !handover[kSockets].is_object()) {
    return broken;
  }
  sealer_ = Sealer::of_digits(handover[kKey].get_ref<const std::string&>());
  if (!sealer_) return broken;
  for (const auto& [address, number] : handover[kSockets].items()) {
    if (!number.is_number_integer()) return broken;
    UniqueFd socket(number.get<int>());
    if (address == started_.listen.to_string()) {
      public_.inherit(std::move(socket));
    } else if (address == started_.admin_listen.to_string()) {
      admin_.inherit(std::move(socket));
    }
  }
  return Ok{};
}

}  // namespace fealty::api
