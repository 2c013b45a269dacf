#include "conf/router_config.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "conf/document.h"
#include "conf/file.h"
#include "conf/section.h"
#include "conf/static_nodes.h"
#include "conf/values.h"

namespace fealty::conf {
namespace {

constexpr std::int64_t kHour_ms = 3600 * 1000;
constexpr std::int64_t kDay_ms = 24 * 3600 * 1000;
constexpr std::int64_t kDay_s = 24 * 3600;
constexpr unsigned kWorkersMax = 256;
constexpr std::uint64_t kKibi = 1024;
constexpr std::uint64_t kGibi = kKibi * kKibi * kKibi;
constexpr std::size_t kPrefixBytesMax = 107;
constexpr std::uint64_t kMountpointsMost = 16;
constexpr std::size_t kTargetsMax = 16;
constexpr std::uint64_t kChecksInARowMost = 100;
constexpr std::size_t kCheckPathBytesMax = 1024;
constexpr std::uint64_t kClientDepthMost = 10;
constexpr std::uint64_t kAlarmDaysMost = 365;
constexpr std::uint64_t kFdMost = 65'535;
// The last uid that is a user: -1 means "none" to the kernel.
constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::string_view kFdPrefix = "fd:";

// Room for the request's own variables must remain in a packet of 64 KiB.
constexpr std::size_t kVariablesBytesMax = 16 * kKibi;
constexpr std::size_t kVariablesMax = 256;
constexpr std::size_t kVariableNameBytesMax = 128;

// What the router says itself of every request; besides these, whatever begins
// with HTTP (the client's headers and the state of TLS).
constexpr std::array<std::string_view, 14> kOwnVariables = {
    "REQUEST_METHOD", "REQUEST_URI",  "QUERY_STRING",   "SERVER_PROTOCOL",
    "PATH_INFO",      "SCRIPT_NAME",  "SERVER_NAME",    "SERVER_PORT",
    "UWSGI_ROUTER",   "REMOTE_ADDR",  "REMOTE_PORT",    "CONTENT_LENGTH",
    "CONTENT_TYPE",   "FEALTY_SEAL"};

bool is_empty_list(const Value& value) {
  return value.kind == Value::Kind::kList && value.items.empty();
}

bool is_empty_map(const Value& value) {
  return value.kind == Value::Kind::kMap && value.entries.empty();
}

// Fills the options from the file, section by section.
class Reader {
 public:
  Reader(Problems& problems, std::string folder, KnowsUser knows_user)
      : dump_(problems.file_name()),
        report_{problems, dump_},
        folder_(std::move(folder)),
        knows_user_(knows_user) {}

  Loaded read(const Value& root) {
    Section file(report_, &root, {1, 1}, "", 0);
    router::Options& router = loaded_.config.router;
    file.scalar("workers", router.workers, AutoCountFormat{kWorkersMax});
    read_user(file, router.user);
    read_listeners(file);
    read_subscription(file);
    read_static_nodes(file, folder_, loaded_.config.subscription);
    read_health_check(file, router);
    read_timeouts(file, router.timeouts);
    read_limits(file, router.limits);
    file.scalar("temp_dir", router.temp_dir, PathFormat{folder_});
    read_variables(file);
    read_tls(file);
    read_cluster(file);
    read_admin(file);
    read_access_log(file);
    file.finish();
    const auto& listeners = router.listeners;
    loaded_.config.subscription.serves_sni = std::any_of(
        listeners.begin(), listeners.end(), [](const auto& listener) {
          return listener.protocol == router::ListenerProtocol::kHttps;
        });
    loaded_.dump = dump_.take();
    return std::move(loaded_);
  }

 private:
  void read_user(Section& file, std::string& user) {
    const Value* const value = file.scalar("user", user, UserFormat{});
    if (value == nullptr || knows_user_ == nullptr || knows_user_(user)) return;
    file.problem(value->at, "user",
                 "no user '" + user + "' on this system to become");
  }

  void read_listeners(Section& file) {
    auto& listeners = loaded_.config.router.listeners;
    file.maps("listeners", [&](Section& item) {
      listeners.push_back(read_listener(item));
    });
    const Value* list = file.find("listeners");
    if (list == nullptr || is_empty_list(*list)) {
      file.problem(list == nullptr ? file.at() : list->at, "listeners",
                   "at least one is needed, such as "
                   "{address: \"127.0.0.1:8080\", protocol: http}");
    }
  }

  router::ListenerOptions read_listener(Section& item) {
    router::ListenerOptions listener;
    const Value* address = read_listener_address(item, listener);
    // In the order of router::ListenerProtocol.
    read_word(item, "protocol", listener.protocol,
              WordFormat{{"http", "https", "uwsgi"}});
    read_mode(item, listener.address, listener.mode);
    if (listener.protocol == router::ListenerProtocol::kHttps) {
      read_identity(item, listener.identity);
    } else {
      for (const std::string_view key : {"certificate", "key", "client_ca"}) {
        const Value* value = item.find(key);
        if (value == nullptr) continue;
        item.problem(value->at, key, "only protocol https has it");
      }
    }
    read_trust(item, listener);
    const Value* redirects = item.scalar(
        "redirect_to_https", listener.redirect_to_https, BooleanFormat{});
    if (listener.redirect_to_https &&
        listener.protocol != router::ListenerProtocol::kHttp) {
      item.problem(redirects->at, "redirect_to_https",
                   listener.protocol == router::ListenerProtocol::kHttps
                       ? "this listener speaks HTTPS itself"
                       : "only protocol http has it");
    }
    if (address != nullptr && listener.inherited_fd < 0) {
      note_use(item, "address", "tcp", listener.address, address->at);
    }
    return listener;
  }

  void read_trust(Section& item, router::ListenerOptions& listener) {
    const Value* const proxied = item.scalar(
        "proxy_protocol", listener.proxy_protocol, BooleanFormat{});
    item.scalars("trusted", "[]", [&](const Value& value) {
      auto network = Network::parse(value.text);
      if (!network) {
        item.problem(value.at, "trusted",
                     cited(value.text) + " is no network (10.0.0.0/8, fc00::/7)");
        return std::string();
      }
      listener.trusted.push_back(*std::move(network));
      return yaml_quoted(value.text);
    });
    const Value* const sealed =
        item.scalar("sealed", listener.sealed, BooleanFormat{});
    const Value* const trusted = item.find("trusted");
    const bool is_uwsgi = listener.protocol == router::ListenerProtocol::kUwsgi;
    if (listener.sealed && !is_uwsgi) {
      item.problem(sealed->at, "sealed", "only listeners of protocol uwsgi have it");
    }
    if (listener.proxy_protocol && is_uwsgi) {
      item.problem(proxied->at, "proxy_protocol",
                   "a uwsgi listener's variables say who the client is");
    } else if (listener.proxy_protocol && listener.trusted.empty() &&
               !listener.address.is_unix()) {
      item.problem(proxied->at, "proxy_protocol",
                   "it needs trusted: the networks whose word counts");
    } else if (!listener.trusted.empty() && !listener.proxy_protocol &&
               !is_uwsgi) {
      item.problem(trusted->at, "trusted",
                   "only listeners with proxy_protocol, or of protocol uwsgi, "
                   "have it");
    }
  }

  void read_identity(Section& item, sni::DefaultIdentity& identity) {
    const PathFormat path{folder_};
    item.required("certificate", identity.certificate, path);
    item.required("key", identity.key, path);
    const Value* ca = item.find("client_ca");
    if (ca == nullptr || ca->kind != Value::Kind::kScalar) {
      std::optional<std::string> none;
      item.scalar("client_ca", none, Nullable<PathFormat>{{folder_}});
      return;
    }
    // "!" in front demands a certificate, as in announcements.
    std::string_view text = ca->text;
    const std::string mark = text.starts_with('!') ? "!" : "";
    text.remove_prefix(mark.size());
    const auto parsed = path.parse(text);
    if (!parsed) item.problem(ca->at, "client_ca", parsed.error().message);
    if (parsed) identity.client_ca = mark + parsed.value();
    item.dump("client_ca", yaml_quoted(identity.client_ca));
  }

  // Of an address "fd:3" only the number.
  const Value* read_listener_address(Section& item,
                                     router::ListenerOptions& listener) {
    const Value* value = item.find("address");
    const bool is_fd = value != nullptr &&
                       value->kind == Value::Kind::kScalar &&
                       value->text.starts_with(kFdPrefix);
    if (!is_fd) {
      value = item.required("address", listener.address,
                            AddressFormat{folder_});
      if (value != nullptr) listener.text = value->text;
      return value;
    }
    const auto fd = IntegerFormat{3, kFdMost}.parse(
        std::string_view(value->text).substr(kFdPrefix.size()));
    listener.text = value->text;
    item.dump("address", yaml_quoted(value->text));
    if (!fd) {
      item.problem(value->at, "address",
                   cited(value->text) + " is not fd:3 or a higher number");
      return nullptr;
    }
    listener.inherited_fd = static_cast<int>(fd.value());
    for (const auto& other : loaded_.config.router.listeners) {
      if (other.inherited_fd != listener.inherited_fd) continue;
      item.problem(value->at, "address",
                   cited(value->text) + " is another listener's already");
    }
    return value;
  }

  void read_mode(Section& item, const Address& address,
                 std::optional<mode_t>& mode) {
    const Value* value = item.scalar("mode", mode, ModeFormat{});
    const bool has_file =
        address.is_unix() && address.unix_path().starts_with('/');
    if (value != nullptr && !has_file) {
      item.problem(value->at, "mode", "only a Unix socket's file has a mode");
    }
  }

  static void read_group(Section& item, subscription::ServerSocket& socket) {
    constexpr std::string_view kKey = "group";
    if (item.find(kKey) == nullptr) return item.dump(kKey, "null");
    const Value* const value = item.scalar(kKey, socket.group, UserFormat{});
    if (!socket.address.unix_path().starts_with('/')) {
      item.problem(value->at, kKey, "only a Unix socket's file has a group");
    }
  }

  // Two sockets cannot share an address: TCP among TCP, UDP among UDP, and the
  // files of Unix sockets among all.
  void note_use(Section& section, std::string_view key,
                std::string_view transport, const Address& address,
                Position at) {
    std::string name = address.to_string();
    if (!address.is_unix()) name.insert(0, std::string(transport) + " ");
    const auto [first, is_new] = used_.emplace(name, at);
    if (is_new) return;
    section.problem(at, key,
                    cited(address.to_string()) + " is taken already in line " +
                        std::to_string(first->second.line));
  }

  void read_subscription(Section& file) {
    subscription::Options& options = loaded_.config.subscription;
    Section part = file.section("subscription");
    part.maps("servers", [&](Section& item) {
      subscription::ServerSocket socket;
      const Value* address =
          item.required("address", socket.address, AddressFormat{folder_});
      read_mode(item, socket.address, socket.mode);
      read_group(item, socket);
      if (address != nullptr) {
        note_use(item, "address", "udp", socket.address, address->at);
      }
      options.servers.push_back(std::move(socket));
    });
    part.scalar("tolerance", options.tolerance_ms,
                DurationFormat{100, kDay_ms});
    part.scalar("dotsplit", options.dotsplit, BooleanFormat{});
    read_algorithm(part, options.algorithm);
    read_emperor(part);
    read_path_or_null(part, "sticky_secret_file",
                      loaded_.config.router.sticky_secret_file);
    read_sign_check(part, options);
    part.scalar("use_credentials", options.use_credentials, BooleanFormat{});
    std::optional<std::string> owners;
    part.scalar("credentials_check", owners,
                Nullable<PathFormat>{{folder_}});
    options.credentials_check = owners.value_or("");
    part.scalar("slow_start", options.slow_start_ms,
                DurationFormat{0, kDay_ms});
    read_allow_addresses(part, options);
    read_trusted_addresses(part, options);
    read_allow_sni_paths(part);
    read_resubscribe(part, options);
    part.scalar("mountpoints", options.mountpoints,
                IntegerFormat{0, kMountpointsMost});
    part.scalar("expect_port_in_key", options.expect_port_in_key,
                BooleanFormat{});
    loaded_.config.router.routes = {options.mountpoints,
                                    options.expect_port_in_key};
    part.finish();
  }

  void read_algorithm(Section& part, subscription::Algorithm& algorithm) {
    auto place = static_cast<std::size_t>(algorithm);
    // In the order of subscription::Algorithm.
    part.scalar("algorithm", place,
                WordFormat{{"wrr", "lrc", "wlrc", "iphash", "sticky"}});
    algorithm = static_cast<subscription::Algorithm>(place);
  }

  void read_emperor(Section& part) {
    constexpr std::string_view kKey = "emperor";
    const Value* value = part.find(kKey);
    if (value == nullptr) return part.dump(kKey, "null");
    Address address;
    part.scalar(kKey, address, AddressFormat{folder_});
    if (address.is_unix()) {
      loaded_.config.router.emperor = address;
    } else if (address.is_ip()) {
      part.problem(value->at, kKey,
                   cited(value->text) + " is not a Unix socket (unix:/path)");
    }
  }

  // A word whose place among the format's is the enumerator's number.
  template <typename Enum>
  static void read_word(Section& part, std::string_view key, Enum& out,
                        const WordFormat& format) {
    auto place = static_cast<std::size_t>(out);
    part.scalar(key, place, format);
    out = static_cast<Enum>(place);
  }

  // null leaves `path` as it is, empty.
  void read_path_or_null(Section& part, std::string_view key,
                         std::string& path) {
    if (part.find(key) == nullptr) return part.dump(key, "null");
    part.scalar(key, path, PathFormat{folder_});
  }

  void read_resubscribe(Section& part, subscription::Options& options) {
    const auto& listeners = loaded_.config.router.listeners;
    part.scalars("resubscribe", "[]", [&](const Value& item) {
      return read_target(part, item, options.resubscribe);
    });
    part.scalar("resubscribe_bind", options.resubscribe_bind,
                Nullable<AddressFormat>{{folder_}});
    std::optional<Address> own;
    part.scalar("resubscribe_as", own, Nullable<AddressFormat>{{folder_}});
    // Of HTTPS nobody else could make use. Where the address is given, the
    // listener that it leads to says which protocol is spoken there.
    const auto may_be_told = [](const auto& its) {
      return its.protocol != router::ListenerProtocol::kHttps;
    };
    const auto is_it = [&](const auto& its) {
      const bool same = own->is_unix()
                            ? its.address.to_string() == own->to_string()
                            : its.address.is_ip() &&
                                  its.address.port() == own->port();
      return may_be_told(its) && its.inherited_fd < 0 && same;
    };
    auto listener = listeners.end();
    if (own) listener = std::find_if(listeners.begin(), listeners.end(), is_it);
    if (listener == listeners.end()) {
      listener = std::find_if(listeners.begin(), listeners.end(),
                              [&](const auto& its) {
                                return may_be_told(its) &&
                                       (own || its.inherited_fd < 0);
                              });
    }
    if (listener != listeners.end()) {
      if (!own) own = listener->address;
      if (listener->protocol == router::ListenerProtocol::kUwsgi) {
        options.own_protocol = subscription::Protocol::kUwsgi;
      }
    }
    if (own) {
      options.own_address = *own;
    } else if (!options.resubscribe.empty()) {
      part.problem(part.find("resubscribe")->at, "resubscribe",
                   "no listener has an address that could be passed on: set "
                   "resubscribe_as");
    }
  }

  std::string read_target(Section& part, const Value& item,
                          std::vector<Address>& targets) {
    const auto address = AddressFormat{folder_}.parse(item.text);
    if (!address) {
      part.problem(item.at, "resubscribe", address.error().message);
      return {};
    }
    targets.push_back(address.value());
    if (targets.size() > kTargetsMax) {
      part.problem(item.at, "resubscribe", "more than 16 addresses");
    }
    return AddressFormat::show(address.value());
  }

  // A map, or uWSGI's short form "SHA1:/folder".
  void read_sign_check(Section& part, subscription::Options& options) {
    const Value* value = part.find("sign_check");
    if (value == nullptr) {
      part.dump("sign_check", "null");
    } else if (value->kind == Value::Kind::kScalar) {
      options.sign_check = read_short_sign_check(part, *value);
    } else {
      options.sign_check = read_full_sign_check(part);
    }
  }

  subscription::SignCheck read_short_sign_check(Section& part,
                                                const Value& value) {
    subscription::SignCheck check;
    const std::string_view text = value.text;
    const std::size_t colon = text.find(':');
    const auto digest = digest_format().parse(text.substr(0, colon));
    const auto keys = PathFormat{folder_}.parse(
        colon == text.npos ? "" : text.substr(colon + 1));
    if (digest && keys) {
      check.digest = static_cast<subscription::Digest>(digest.value());
      check.keys = keys.value();
    } else {
      part.problem(value.at, "sign_check",
                   cited(text) + " is not a digest (SHA1, SHA256, SHA512), a "
                                 "colon and the folder of the public keys");
    }
    part.dump("sign_check",
              yaml_quoted(digest_format().show(place_of(check)) + ":" +
                          check.keys));
    return check;
  }

  subscription::SignCheck read_full_sign_check(Section& part) {
    subscription::SignCheck check;
    Section map = part.section("sign_check");
    std::size_t digest = place_of(check);
    map.scalar("digest", digest, digest_format());
    check.digest = static_cast<subscription::Digest>(digest);
    map.required("keys", check.keys, PathFormat{folder_});
    map.scalar("tolerance", check.tolerance_s, SecondsFormat{1, kDay_s});
    map.scalars("skip_uids", "[]", [&](const Value& item) {
      const auto uid = IntegerFormat{0, kUidMost}.parse(item.text);
      if (!uid) {
        map.problem(item.at, "skip_uids", uid.error().message);
        return std::string();
      }
      check.skip_uids.push_back(static_cast<uid_t>(uid.value()));
      return IntegerFormat::show(uid.value());
    });
    map.finish();
    return check;
  }

  // In the order of subscription::Digest.
  static WordFormat digest_format() {
    return WordFormat{{"SHA1", "SHA256", "SHA512"}};
  }
  static std::size_t place_of(const subscription::SignCheck& check) {
    return static_cast<std::size_t>(check.digest);
  }

  void read_allow_addresses(Section& part, subscription::Options& options) {
    constexpr std::string_view kKey = "allow_addresses";
    const Value* value = part.find(kKey);
    // `default` stands for what cannot be written shorter.
    if (value == nullptr || (value->kind == Value::Kind::kScalar &&
                             value->text == "default")) {
      return part.dump(kKey, "default");
    }
    subscription::AllowAddresses allowed;
    part.scalars(kKey, "", [&](const Value& item) {
      return read_allowed(part, item, allowed);
    });
    note_path_prefixes(allowed);
    if (is_empty_list(*value)) {
      part.problem(value->at, kKey, "it is empty: no node could announce "
                                    "itself");
    }
    options.allow_addresses = std::move(allowed);
  }

  // Of the senders of skip_uids, besides allow_addresses.
  void read_trusted_addresses(Section& part, subscription::Options& options) {
    constexpr std::string_view kKey = "allow_trusted_addresses";
    subscription::AllowAddresses& allowed = options.allow_trusted_addresses;
    part.scalars(kKey, "[]", [&](const Value& item) {
      return read_allowed(part, item, allowed);
    });
    if (part.find(kKey) == nullptr || is_empty_list(*part.find(kKey))) return;
    const auto& others = options.allow_addresses.unix_prefixes;
    if (std::find(others.begin(), others.end(), "/") == others.end()) {
      note_path_prefixes(allowed);
    }
    if (!options.sign_check || options.sign_check->skip_uids.empty()) {
      part.problem(part.find(kKey)->at, kKey,
                   "nobody is trusted: it needs sign_check with skip_uids");
    }
  }

  // "/" is no bound: then nothing has to be looked at when nodes are connected.
  void note_path_prefixes(const subscription::AllowAddresses& allowed) {
    auto& prefixes = loaded_.config.router.node_path_prefixes;
    for (const std::string& prefix : allowed.unix_prefixes) {
      if (prefix.starts_with('/')) prefixes.push_back(prefix);
    }
    if (std::find(prefixes.begin(), prefixes.end(), "/") != prefixes.end()) {
      prefixes.clear();
    }
  }

  std::string read_allowed(Section& part, const Value& item,
                           subscription::AllowAddresses& allowed) {
    std::string_view text = item.text;
    if (text.starts_with(kUnixPrefix)) text.remove_prefix(kUnixPrefix.size());
    if (text.starts_with('/') || text.starts_with('@') ||
        text.size() < item.text.size()) {
      // '@' begins the names that are no files.
      const auto prefix = text.starts_with('@')
                              ? TextFormat{kPrefixBytesMax}.parse(text)
                              : PathFormat{folder_}.parse(text);
      if (prefix) {
        allowed.unix_prefixes.push_back(prefix.value());
        return yaml_quoted(std::string(kUnixPrefix) + prefix.value());
      }
      part.problem(item.at, "allow_addresses", prefix.error().message);
      return {};
    }
    auto network = Network::parse(text);
    if (network) {
      allowed.networks.push_back(*std::move(network));
      return yaml_quoted(text);
    }
    part.problem(item.at, "allow_addresses",
                 cited(text) + " is neither a network (10.0.0.0/8, fc00::/7) "
                               "nor the beginning of a path (unix:/run/)");
    return {};
  }

  void read_allow_sni_paths(Section& part) {
    part.scalars("allow_sni_paths", "[]", [&](const Value& item) {
      const auto path = PathFormat{folder_}.parse(item.text);
      if (!path) {
        part.problem(item.at, "allow_sni_paths", path.error().message);
        return std::string();
      }
      loaded_.config.subscription.allow_sni_paths.push_back(path.value());
      return yaml_quoted(path.value());
    });
  }

  void read_health_check(Section& file, router::Options& router) {
    constexpr std::string_view kKey = "health_check";
    if (file.find(kKey) == nullptr) return file.dump(kKey, "null");
    router::HealthCheck check;
    Section part = file.section(kKey);
    const Value* const path =
        part.scalar("path", check.path, TextFormat{kCheckPathBytesMax});
    if (path != nullptr && !router::is_check_path(check.path)) {
      part.problem(path->at, "path",
                   cited(path->text) + " is no path: / and visible ASCII");
    }
    part.scalar("interval", check.interval_ms, DurationFormat{100, kDay_ms});
    const Value* const timeout =
        part.scalar("timeout", check.timeout_ms, DurationFormat{10, kDay_ms});
    if (check.timeout_ms > check.interval_ms) {
      part.problem(timeout == nullptr ? part.at() : timeout->at, "timeout",
                   "it is longer than the interval");
    }
    part.scalar("fall", check.fall, IntegerFormat{1, kChecksInARowMost});
    part.scalar("rise", check.rise, IntegerFormat{1, kChecksInARowMost});
    part.finish();
    router.health_check = std::move(check);
  }

  void read_timeouts(Section& file, router::Timeouts& timeouts) {
    Section part = file.section("timeouts");
    constexpr DurationFormat kFormat{1, kDay_ms};
    part.scalar("handshake", timeouts.handshake_ms, kFormat);
    part.scalar("head", timeouts.head_ms, kFormat);
    part.scalar("connect", timeouts.connect_ms, kFormat);
    part.scalar("node", timeouts.node_ms, kFormat);
    part.scalar("client", timeouts.client_ms, kFormat);
    part.scalar("keepalive", timeouts.keepalive_ms, kFormat);
    part.scalar("drain", timeouts.drain_ms, kFormat);
    part.scalar("spawn", timeouts.spawn_ms, kFormat);
    part.finish();
  }

  void read_limits(Section& file, router::Limits& limits) {
    Section part = file.section("limits");
    part.scalar("head_bytes", limits.head_bytes,
                SizeFormat{kKibi, 64 * kKibi});
    part.scalar("connections", limits.connections,
                IntegerFormat{1, 1'000'000});
    part.scalar("body_bytes", limits.body_bytes,
                SizeFormat{1, UINT64_MAX - 1, true});
    part.scalar("body_memory", limits.body_memory_bytes,
                SizeFormat{kKibi, kGibi});
    part.scalar("hold", limits.hold_ms, DurationFormat{0, kHour_ms});
    part.scalar("held_requests", limits.held_requests,
                IntegerFormat{0, 1'000'000});
    // A key whose nodes left stays known for as long as its requests wait.
    loaded_.config.subscription.hold_ms = limits.hold_ms;
    part.finish();
  }

  void read_variables(Section& file) {
    const Value* map = file.find("variables");
    if (map == nullptr || is_empty_map(*map)) {
      return file.dump("variables", "{}");
    }
    Section part = file.section("variables");
    if (map->kind != Value::Kind::kMap) return;
    if (map->entries.size() > kVariablesMax) {
      return file.problem(map->at, "variables", "more than 256 variables");
    }
    std::size_t bytes = 0;
    for (const Entry& entry : map->entries) {
      if (!check_variable_name(file, entry)) continue;
      std::string value;
      part.scalar(entry.key, value, TextFormat{kVariablesBytesMax, true});
      bytes += 4 + entry.key.size() + value.size();
      loaded_.config.router.extra_variables.emplace_back(entry.key,
                                                         std::move(value));
    }
    if (bytes > kVariablesBytesMax) {
      file.problem(map->at, "variables", "together they have more than 16k");
    }
  }

  bool check_variable_name(Section& file, const Entry& entry) {
    const std::string_view name = entry.key;
    const auto allowed = [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    std::string wrong;
    if (name.empty() || name.size() > kVariableNameBytesMax ||
        !std::all_of(name.begin(), name.end(), allowed)) {
      wrong = " is no variable's name: A-Z, 0-9 and _, at most 128";
    } else if (name.starts_with("HTTP") ||
               std::find(kOwnVariables.begin(), kOwnVariables.end(), name) !=
                   kOwnVariables.end()) {
      wrong = " is a variable that the router sets itself";
    }
    if (wrong.empty()) return true;
    file.problem(entry.at, "variables", cited(name) + wrong);
    return false;
  }

  void read_tls(Section& file) {
    router::Options& router = loaded_.config.router;
    sni::Options& tls = router.tls;
    Section part = file.section("tls");
    // In the order of sni::TlsVersion and of router::PlainHttp.
    read_word(part, "min_version", tls.min_version,
              WordFormat{{"1.2", "1.3"}});
    part.scalar("ciphers", tls.ciphers, TextFormat{4 * kKibi});
    read_word(part, "plain_http_for_client_auth",
              router.plain_http_for_client_auth,
              WordFormat{{"redirect", "refuse", "serve"}});
    part.scalar("client_depth", tls.client_depth,
                IntegerFormat{0, kClientDepthMost});
    read_path_or_null(part, "client_crl", tls.client_crl_file);
    part.scalar("client_certificate_variables",
                router.client_certificate_variables, BooleanFormat{});
    part.scalar("session_tickets", tls.tickets.enabled, BooleanFormat{});
    part.scalar("ticket_rotation", tls.tickets.rotate_s,
                SecondsFormat{60, 7 * kDay_s});
    read_path_or_null(part, "ticket_keys", tls.tickets.keys_file);
    read_path_or_null(part, "ticket_secret_file", tls.tickets.secret_file);
    if (!tls.tickets.keys_file.empty() && !tls.tickets.secret_file.empty()) {
      part.problem(part.find("ticket_secret_file")->at, "ticket_secret_file",
                   "ticket_keys are given already: one of the two");
    }
    part.scalar("expiry_alarm_days", tls.expiry_alarm_days,
                IntegerFormat{0, kAlarmDaysMost});
    read_path_or_null(part, "expiry_alarm", router.expiry_alarm_command);
    part.finish();
  }

  void read_cluster(Section& file) {
    router::Options& router = loaded_.config.router;
    Section part = file.section("cluster");
    read_path_or_null(part, "secret_file", router.cluster_secret_file);
    part.finish();
    const bool seals = !router.cluster_secret_file.empty();
    for (const auto& listener : router.listeners) {
      if (!listener.sealed || seals) continue;
      file.problem(file.find("listeners")->at, "listeners",
                   listener.text + " is sealed: cluster.secret_file is needed");
    }
  }

  void read_access_log(Section& file) {
    constexpr std::string_view kKey = "access_log";
    if (file.find(kKey) == nullptr) return file.dump(kKey, "null");
    router::AccessLogOptions log;
    Section part = file.section(kKey);
    const Value* const path = part.find("path");
    if (path == nullptr || path->text == log.path) {
      part.dump("path", yaml_quoted(log.path));   // "-" is stdout
    } else {
      part.scalar("path", log.path, PathFormat{folder_});
    }
    // In the order of router::AccessFormat.
    read_word(part, "format", log.format, WordFormat{{"json", "combined"}});
    part.finish();
    loaded_.config.router.access_log = std::move(log);
  }

  void read_admin(Section& file) {
    file.scalars("admin", "[]", [&](const Value& item) {
      const auto address = AddressFormat{folder_}.parse(item.text);
      if (!address) {
        file.problem(item.at, "admin", address.error().message);
        return std::string();
      }
      note_use(file, "admin", "tcp", address.value(), item.at);
      loaded_.config.router.admin.push_back(address.value());
      return AddressFormat::show(address.value());
    });
  }

  Dump dump_;
  Report report_;
  std::string folder_;
  KnowsUser knows_user_;
  Loaded loaded_;
  std::map<std::string, Position> used_;
};

}  // namespace

Result<Loaded, std::vector<std::string>> parse_router_config(
    std::string_view text, const std::string& file_name,
    KnowsUser knows_user) {
  Problems problems(file_name);
  const std::optional<Value> root = parse_yaml(text, problems);
  if (!root) return problems.lines();
  if (root->kind == Value::Kind::kNull) {
    problems.add(root->at, "the file is empty; it needs at least listeners");
    return problems.lines();
  }
  if (root->kind != Value::Kind::kMap) {
    problems.add(root->at, "a map (key: value) is expected here");
    return problems.lines();
  }
  Loaded loaded = Reader(problems, folder_of(file_name), knows_user).read(*root);
  if (!problems.empty()) return problems.lines();
  return loaded;
}

Result<Loaded, std::vector<std::string>> load_router_config(
    const std::string& path, KnowsUser knows_user) {
  const Result<std::string> text = read_file(path);
  if (!text) return std::vector{text.error().message};
  return parse_router_config(text.value(), path, knows_user);
}

}  // namespace fealty::conf
