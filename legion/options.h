#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "legion/election.h"
#include "legion/floating_address.h"

namespace fealty::legion {

// What happens at an event: one action of a hook.
struct HookAction {
  enum class Kind : std::uint8_t {
    kExec,
    kIpAdd,
    kIpDel,
    kIpStale,   // a start's own: what a former process left (AddressKeeper)
    kLog,
    kAlarm,
  };
  Kind kind = Kind::kLog;
  std::string text;               // the command, or what to say
  FloatingAddress address;        // kIpAdd, kIpDel, kIpStale
};

enum class Event : std::uint8_t {
  kSetup,        // the member starts
  kJoin,         // the first quorum
  kLord,
  kUnlord,
  kNodeJoined,
  kNodeLeft,
  kDeath,        // the member has left
};
inline constexpr std::size_t kEvents = 7;

struct LegionOptions {
  std::string name;
  Address address;                // what it listens on and sends from; a group: multicast
  std::string interface;          // of a multicast group; "": the system's choice
  Wire wire = Wire::kUwsgi;
  bool accept_weaker = false;     // wire sealed: uwsgi packets too, sent as well
  std::string cipher;
  std::string secret;
  std::string secret_file;        // instead of `secret`
  std::string iv;
  std::vector<Address> nodes;
  ElectionOptions election;
  std::array<std::vector<HookAction>, kEvents> hooks;
  std::int64_t hook_timeout_ms = 10'000;   // of each action
};

// Subscriptions to the other members, and from them (forwarder.h). `to` belongs to
// `listen`, `deliver` to `receive`: one half may be absent.
struct ForwarderOptions {
  std::optional<Address> listen;  // a Unix socket: here the fastrouter announces
  mode_t listen_mode = 0660;      // of its file: whoever may write can fill it
  std::string listen_group;       // of its file; "": the first user's main one
  // Whose packets count there, beside root's and our own: names or uids.
  std::vector<std::string> listen_users;
  std::optional<Address> send_from;
  std::vector<Address> to;
  std::optional<Address> receive;
  std::optional<Address> deliver;
  std::string secret;
  std::string secret_file;        // instead of `secret`
  std::int64_t skew_tolerance_s = 60;
};

struct Options {
  std::string user = "fealty";
  std::vector<LegionOptions> legions;
  std::optional<ForwarderOptions> forwarder;
  std::vector<Address> admin;
  std::string alarm_command;      // of the action `alarm`; "": only the log
};

inline constexpr std::size_t kLegionsMax = 16;

// What may be meant so, and is worth a word.
[[nodiscard]] std::vector<std::string> warnings_of(const LegionOptions& options);

// Whether the address is a group that is joined.
[[nodiscard]] bool is_multicast(const Address& address);

}  // namespace fealty::legion
