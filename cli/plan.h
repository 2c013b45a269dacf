#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "cli/arguments.h"
#include "wire/signing_key.h"
#include "wire/subscription_packet.h"

namespace fealty::cli {

// A router's subscription server. `local`: it can acknowledge to the loopback.
struct ServerTarget {
  Address address;
  bool local = false;
};

struct SignSource {
  wire::Digest digest = wire::Digest::kSha1;
  std::string path;
};

// The files of an HTTPS identity; paths are absolute.
struct SniSource {
  std::string key;
  std::string crt;
  std::string ca;                // "": none
  bool ca_required = false;
  bool embed = false;            // their text goes out, not their paths
};

// What is asked whether the application is there: the first of `addresses` that
// takes a connection; with a `request`, its answer too.
struct CheckTarget {
  std::vector<Address> addresses;
  std::string request;           // HTTP; "": a connection is enough
  std::string text;              // for people
};

struct NotifyWish {
  enum class Kind : std::uint8_t { kOwn, kGiven, kNone };
  Kind kind = Kind::kOwn;
  Address address;               // kGiven
};

// What `fealty subscribe` is to do, checked as far as it can be without asking
// anybody but the resolver (for --check-url http://NAME/, once).
struct Plan {
  std::vector<ServerTarget> servers;
  std::vector<std::string> keys;           // in their one form
  wire::SubscriptionPacket packet;         // all but key, sni_*, notify, nonce
  std::optional<SignSource> sign;
  std::optional<SniSource> sni;
  NotifyWish notify;
  std::optional<CheckTarget> check;        // none: announced unseen
  Address reached_at;                      // the application, from here
  bool check_goes_on = false;              // also once it has answered
  std::int64_t every_ms = 10'000;
  std::int64_t drain_ms = 1'000;
  std::optional<mode_t> socket_mode;
  bool once = false;
  bool unsubscribe = false;
  bool keep_notify_socket = false;
  std::vector<std::string> command;
  // What may turn out wrong, to be said before anything is done.
  std::vector<std::string> warnings;
};

// FastCGI and SCGI: routers know the words, and serve neither.
[[nodiscard]] bool is_unserved_protocol(std::string_view proto);

// Fails where what was typed makes no sense: a usage error.
[[nodiscard]] Result<Plan> make_plan(const SubscribeArguments& arguments);

}  // namespace fealty::cli
