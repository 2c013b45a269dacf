#include "cli/plan.h"

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

#include "base/version.h"
#include "cli/advice.h"

namespace fealty::cli {
namespace {

constexpr std::int64_t kEveryMin_ms = 100;
constexpr std::int64_t kEveryMax_ms = 3'600'000;
constexpr std::int64_t kDrainMax_ms = 600'000;
// Routers drop a node that was silent for 17 s, unless they are told otherwise.
constexpr std::int64_t kEverySafe_ms = 15'000;

Error in(std::string_view option, const Error& error) {
  return Error{std::string(option) + ": " + error.message};
}

std::string absolute(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).lexically_normal().string();
}

Status read_servers(const SubscribeArguments& from, Plan& plan) {
  for (const std::string& text : from.servers) {
    auto address = read_address(text);
    if (!address) return in("--server", address.error());
    const bool local = address->is_unix() || is_loopback(*address);
    plan.servers.push_back({*address, local});
  }
  return Ok{};
}

Status read_keys(const SubscribeArguments& from, Plan& plan) {
  for (const std::string& text : from.keys) {
    auto key = read_key(text);
    if (!key) return in("--key", key.error());
    if (std::find(plan.keys.begin(), plan.keys.end(), *key) !=
        plan.keys.end()) {
      return Error{"--key: " + *key + " is given twice"};
    }
    plan.keys.push_back(std::move(*key));
  }
  return Ok{};
}

// What a router may have against an address that is one.
void warn_of_address(const Address& address, Plan& plan) {
  const bool all_local =
      std::all_of(plan.servers.begin(), plan.servers.end(),
                  [](const ServerTarget& server) { return server.local; });
  const std::string text = address.to_string();
  if (is_wildcard(address) && !all_local) {
    plan.warnings.push_back(
        "--addr " + text + " means the router's own host to a router elsewhere: "
        "announce the address that it reaches this host by");
  } else if (is_loopback(address) && !all_local) {
    plan.warnings.push_back(
        "--addr " + text + " is the loopback, where a router on another host "
        "finds itself: announce the address that it reaches this host by");
  } else if (!allowed_by_default(address)) {
    plan.warnings.push_back(
        "--addr " + text + " is neither loopback nor private: routers refuse "
        "it unless their subscription.allow_addresses has it");
  }
}

Status read_node(const SubscribeArguments& from, Plan& plan) {
  auto address = read_address(from.address);
  if (!address) return in("--addr", address.error());
  const std::string path = address->unix_path();
  if (path.starts_with('/')) {
    if (const auto problem = path_problem(path)) {
      return Error{"--addr: " + *problem};
    }
  }
  warn_of_address(*address, plan);
  if (is_unserved_protocol(from.proto)) {
    plan.warnings.push_back(
        "--proto " + from.proto + ": Fealty's routers serve http and uwsgi, and "
        "refuse this one as unsupported");
  }
  wire::SubscriptionPacket& packet = plan.packet;
  packet.address = address->to_string();
  packet.proto = from.proto;
  packet.algo = from.algo;
  packet.weight = from.weight;
  packet.backup = from.backup;
  packet.modifier1 = from.modifier1;
  packet.modifier2 = from.modifier2;
  return Ok{};
}

Status read_sign(const SubscribeArguments& from, Plan& plan) {
  if (from.sign.empty()) return Ok{};
  const std::size_t colon = from.sign.find(':');
  const auto digest = wire::parse_digest(from.sign.substr(0, colon));
  if (!digest || colon == from.sign.npos || colon + 1 == from.sign.size()) {
    return Error{"--sign: write SHA1:FILE, SHA256:FILE or SHA512:FILE, with the "
                 "digest that the router's sign_check names"};
  }
  plan.sign = SignSource{*digest, absolute(from.sign.substr(colon + 1))};
  return Ok{};
}

Status read_sni(const SubscribeArguments& from, Plan& plan) {
  if (from.sni_crt.empty()) return Ok{};
  SniSource sni;
  std::string ca = from.sni_ca;
  sni.ca_required = ca.starts_with('!');
  if (sni.ca_required) ca.erase(0, 1);
  if (sni.ca_required && ca.empty()) {
    return Error{"--sni-ca: no file behind the !"};
  }
  sni.key = absolute(from.sni_key);
  sni.crt = absolute(from.sni_crt);
  if (!ca.empty()) sni.ca = absolute(ca);
  sni.embed = from.embed_sni;
  for (const std::string& path : {sni.key, sni.crt, sni.ca}) {
    if (sni.embed || ::access(path.empty() ? "/" : path.c_str(), F_OK) == 0) {
      continue;
    }
    plan.warnings.push_back(
        path + " is not there as this process sees it; the path is sent as it "
        "is, and the router must find it (--embed-sni sends the text)");
  }
  plan.sni = std::move(sni);
  return Ok{};
}

Status read_notify(const SubscribeArguments& from, Plan& plan) {
  if (from.notify.empty()) return Ok{};
  if (from.notify == "none") {
    plan.notify.kind = NotifyWish::Kind::kNone;
    return Ok{};
  }
  auto address = read_address(from.notify);
  if (!address) return in("--notify", address.error());
  plan.notify = {NotifyWish::Kind::kGiven, *address};
  return Ok{};
}

// "http://host:port/path", taken apart.
struct Url {
  std::string host;      // without brackets
  std::string port = "80";
  std::string authority;
  std::string target = "/";
};

bool is_port(std::string_view text) {
  unsigned number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, problem] = std::from_chars(text.data(), end, number);
  return problem == std::errc() && at == end && number >= 1 && number <= 65'535;
}

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  const Error error{"write http://host:port/path, or /path at the "
                    "application's address"};
  if (text.starts_with("https://")) {
    return Error{"only http: the router, too, speaks plain HTTP with the "
                 "application"};
  }
  if (!text.starts_with(kScheme)) return error;
  text.remove_prefix(kScheme.size());
  Url url;
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  const std::string_view rest = text.substr(end);
  if (!rest.empty()) {
    const std::string target(rest.substr(0, rest.find('#')));
    url.target = target.starts_with('/') ? target : "/" + target;
  }
  url.authority = text.substr(0, end);
  const std::string_view authority = url.authority;
  if (authority.find('@') != authority.npos) return error;
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon =
      authority.find(':', bracket == authority.npos ? 0 : bracket);
  std::string_view host = authority.substr(0, colon);
  if (colon != authority.npos) url.port = authority.substr(colon + 1);
  if (host.starts_with('[')) host = host.substr(1, bracket - 1);
  url.host = host;
  if (url.host.empty() || !is_port(url.port)) return error;
  return url;
}

Result<std::vector<Address>> resolve(const Url& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (error != 0) {
    return Error{"'" + url.authority + "' cannot be found: " +
                 ::gai_strerror(error)};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                            ::freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    addresses.push_back(Address::from_sockaddr(at->ai_addr, at->ai_addrlen));
  }
  return addresses;
}

bool has_blank(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
  });
}

std::string request_for(std::string_view host, std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: " +
         std::string(host) + "\r\nUser-Agent: fealty-subscribe/" +
         std::string(kVersion) + "\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

Result<Address> checked_address(const SubscribeArguments& from) {
  const bool other = !from.check_address.empty();
  auto address = read_address(other ? from.check_address : from.address);
  if (!address) return in("--check-address", address.error());
  return address;
}

// What a name below the key answers to: a wildcard is no host.
std::string host_of(const std::string& key) {
  const std::string site = key.substr(0, key.find('/'));
  return site.starts_with('.') ? "check" + site : site;
}

Result<CheckTarget> make_check(const SubscribeArguments& from,
                               const Plan& plan) {
  CheckTarget check;
  if (has_blank(from.check_url)) {
    return Error{"--check-url: a space or a control character stands in it"};
  }
  if (from.check_url.empty() || from.check_url.starts_with('/')) {
    check.addresses = {plan.reached_at};
    check.text = plan.reached_at.to_string();
    if (from.check_url.empty()) return check;
    check.request = request_for(host_of(plan.keys.front()), from.check_url);
    check.text = from.check_url + " at " + check.text;
    return check;
  }
  auto url = parse_url(from.check_url);
  if (!url) return in("--check-url", url.error());
  auto addresses = resolve(*url);
  if (!addresses) return in("--check-url", addresses.error());
  check.addresses = std::move(*addresses);
  check.request = request_for(url->authority, url->target);
  check.text = from.check_url;
  return check;
}

Status read_check(const SubscribeArguments& from, Plan& plan) {
  auto reached_at = checked_address(from);
  if (!reached_at) return reached_at.error();
  plan.reached_at = *reached_at;
  if (from.no_check || from.unsubscribe) return Ok{};
  auto check = make_check(from, plan);
  if (!check) return check.error();
  plan.check = std::move(*check);
  plan.check_goes_on = from.command.empty() || !from.check_url.empty();
  return Ok{};
}

Status read_mode(const SubscribeArguments& from, Plan& plan) {
  if (from.chmod_socket.empty()) return Ok{};
  constexpr mode_t kMost = 0777;
  const char* const end = from.chmod_socket.data() + from.chmod_socket.size();
  mode_t mode = 0;
  const auto [stop, error] =
      std::from_chars(from.chmod_socket.data(), end, mode, 8);
  if (error != std::errc{} || stop != end || mode > kMost) {
    return Error{"--chmod-socket: an octal mode, such as 666 or 660"};
  }
  if (!plan.reached_at.is_unix()) {
    return Error{"--chmod-socket: the application is not on a Unix socket"};
  }
  plan.socket_mode = mode;
  return Ok{};
}

Status read_times(const SubscribeArguments& from, Plan& plan) {
  auto every = read_duration_ms(from.every);
  if (!every) return in("--every", every.error());
  if (*every < kEveryMin_ms || *every > kEveryMax_ms) {
    return Error{"--every: from 100ms to 1h"};
  }
  auto drain = read_duration_ms(from.drain);
  if (!drain) return in("--drain", drain.error());
  if (*drain > kDrainMax_ms) return Error{"--drain: at most 10m"};
  if (*every > kEverySafe_ms) {
    plan.warnings.push_back(
        "--every " + from.every + " is long: routers drop a node that was "
        "silent for their subscription.tolerance, 17s by default");
  }
  plan.every_ms = *every;
  plan.drain_ms = *drain;
  return Ok{};
}

}  // namespace

// The first letter decides (docs/protocol/subscription.md).
bool is_unserved_protocol(std::string_view proto) {
  return proto.starts_with('f') || proto.starts_with('s');
}

Result<Plan> make_plan(const SubscribeArguments& arguments) {
  using Step = Status (*)(const SubscribeArguments&, Plan&);
  constexpr Step kSteps[] = {read_servers, read_keys,   read_node,
                             read_sign,    read_sni,    read_notify,
                             read_check,   read_mode,    read_times};
  Plan plan;
  plan.once = arguments.once;
  plan.unsubscribe = arguments.unsubscribe;
  plan.keep_notify_socket = arguments.keep_notify_socket;
  plan.command = arguments.command;
  for (const Step step : kSteps) {
    if (Status done = step(arguments, plan); !done) return done.error();
  }
  return plan;
}

}  // namespace fealty::cli
