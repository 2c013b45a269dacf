#include "conf/api_config.h"

#include <algorithm>
#include <utility>

#include "conf/document.h"
#include "conf/file.h"
#include "conf/section.h"
#include "conf/values.h"

namespace fealty::conf {
namespace {

constexpr std::int64_t kMinute_ms = 60'000;
constexpr std::string_view kSqlite = "sqlite://";
constexpr std::string_view kPostgresql = "postgresql://";

// sqlite:///FILE or postgresql://...; a password would stand in every dump.
struct DatabaseFormat {
  [[nodiscard]] static Result<std::string> parse(std::string_view text) {
    if (text.starts_with(kSqlite) && text.size() > kSqlite.size() &&
        text[kSqlite.size()] == '/') {
      return std::string(text);
    }
    if (!text.starts_with(kPostgresql)) {
      return Error{"'sqlite:///FILE' or 'postgresql://USER@HOST/NAME' is expected"};
    }
    const std::string_view rest = text.substr(kPostgresql.size());
    const std::string_view user = rest.substr(0, rest.find('@'));
    const bool in_user = user.size() < rest.size() && user.find(':') != user.npos;
    if (in_user || names_password(rest.substr(std::min(rest.find('?'), rest.size())))) {
      return Error{"a password does not belong here; ~/.pgpass holds it, or the "
                   "file of `passfile=`"};
    }
    return std::string(text);
  }
  // password=, sslpassword=; and whatever hides behind an escape.
  [[nodiscard]] static bool names_password(std::string_view query) {
    while (!query.empty()) {
      query.remove_prefix(1);          // ? or &
      const std::string_view one = query.substr(0, query.find('&'));
      const std::string_view key = one.substr(0, one.find('='));
      if (key.ends_with("password") || key.find('%') != key.npos) return true;
      query.remove_prefix(one.size());
    }
    return false;
  }
  [[nodiscard]] static std::string show(std::string_view url) {
    return yaml_quoted(url);
  }
};

class Reader {
 public:
  Reader(Problems& problems, std::string folder,
         bool (*knows_user)(const std::string&))
      : dump_(problems.file_name()),
        report_{problems, dump_},
        folder_(std::move(folder)),
        knows_user_(knows_user) {}

  LoadedApi read(const Value& root) {
    Section file(report_, &root, {1, 1}, "", 0);
    api::Options& out = loaded_.options;
    const Value* const user = file.scalar("user", out.user, UserFormat{});
    if (user != nullptr && knows_user_ != nullptr && !knows_user_(out.user)) {
      file.problem(user->at, "user",
                   "no user '" + out.user + "' on this system to become");
    }
    read_listeners(file);
    file.required("database", out.database, DatabaseFormat{});
    file.required("secrets_key_file", out.secrets_key_file,
                  PathFormat{folder_});
    read_trusted(file);
    file.scalar("allow_origin", out.allow_origin, TextFormat{255, true});
    file.scalar("drain", out.drain_ms, DurationFormat{100, 10 * kMinute_ms});
    read_dns(file);
    read_limits(file);
    read_subscribe(file);
    const Value* const domain =
        file.scalar("domain", out.domain, TextFormat{255, true});
    if (domain != nullptr && !is_host(out.domain)) {
      file.problem(domain->at, "domain", "the name of a host is expected");
    }
    if (out.domain.empty()) out.domain = out.subscribe.key;
    file.finish();
    loaded_.dump = dump_.take();
    return std::move(loaded_);
  }

 private:
  void read_listeners(Section& file) {
    api::Options& out = loaded_.options;
    file.required("listen", out.listen, AddressFormat{folder_});
    read_mode(file, "listen_mode", out.listen_mode);
    const Value* const admin =
        file.required("admin_listen", out.admin_listen, AddressFormat{folder_});
    read_mode(file, "admin_listen_mode", out.admin_listen_mode);
    if (admin != nullptr && !is_local(out.admin_listen)) {
      file.problem(admin->at, "admin_listen",
                   "who can reach it may do everything: a Unix socket or an "
                   "address of the loopback is expected");
    }
    if (admin != nullptr &&
        out.listen.to_string() == out.admin_listen.to_string()) {
      file.problem(admin->at, "admin_listen", "it must be another than `listen`");
    }
  }

  static void read_mode(Section& file, std::string_view key, mode_t& out) {
    std::optional<mode_t> mode = out;
    file.scalar(key, mode, ModeFormat{});
    out = mode.value_or(out);
  }

  // With a port or not; "" is none.
  static bool is_host(std::string_view text) {
    return text.find_first_not_of(
               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
               "0123456789-._:[]") == text.npos;
  }

  static bool is_local(const Address& address) {
    static const Network v4 = *Network::parse("127.0.0.0/8");
    static const Network v6 = *Network::parse("::1/128");
    return address.is_unix() || v4.contains(address) || v6.contains(address);
  }

  void read_trusted(Section& file) {
    loaded_.options.trusted_proxies = {*Network::parse("127.0.0.0/8")};
    if (file.find("trusted_proxies") != nullptr) {
      loaded_.options.trusted_proxies.clear();
    }
    file.scalars("trusted_proxies", "[\"127.0.0.0/8\"]", [&](const Value& item) {
      const auto network = Network::parse(item.text);
      if (!network) {
        file.problem(item.at, "trusted_proxies", network.error().message);
        return std::string();
      }
      loaded_.options.trusted_proxies.push_back(*network);
      return yaml_quoted(item.text);
    });
  }

  void read_dns(Section& file) {
    Section part = file.section("dns");
    api::DnsOptions& out = loaded_.options.dns;
    part.scalars("servers", "[]", [&](const Value& item) {
      auto address = AddressFormat{folder_}.parse(item.text);
      if (!address) address = AddressFormat{folder_}.parse(item.text + ":53");
      if (!address || !address->is_ip()) {
        part.problem(item.at, "servers",
                     "a numeric IP address is expected, with or without a port");
        return std::string();
      }
      out.servers.push_back(*address);
      return AddressFormat::show(*address);
    });
    part.scalar("timeout", out.timeout_ms, DurationFormat{100, kMinute_ms});
    part.scalar("port", out.port, IntegerFormat{1, 65'535});
    part.scalar("allow_private", out.allow_private, BooleanFormat{});
    part.finish();
  }

  void read_subscribe(Section& file) {
    if (file.find("subscribe") == nullptr) return file.dump("subscribe", "null");
    Section part = file.section("subscribe");
    api::SubscribeOptions& out = loaded_.options.subscribe;
    const TextFormat text{1024};
    const TextFormat may_be_empty{1024, true};
    part.required("server", out.server, text);
    part.required("key", out.key, text);
    part.scalar("sign", out.sign, may_be_empty);
    part.scalar("sni_key", out.sni_key, may_be_empty);
    part.scalar("sni_crt", out.sni_crt, may_be_empty);
    part.scalar("sni_ca", out.sni_ca, may_be_empty);
    part.finish();
  }

  void read_limits(Section& file) {
    Section part = file.section("limits");
    api::LimitOptions& out = loaded_.options.limits;
    part.scalar("threads", out.threads, IntegerFormat{2, 256});
    part.scalar("connections", out.connections, IntegerFormat{16, 65'536});
    part.scalar("per_network", out.per_network, IntegerFormat{1, 65'536});
    part.scalar("followers", out.followers, IntegerFormat{1, 65'536});
    part.scalar("alarms", out.alarms, IntegerFormat{1, 100'000});
    part.scalar("metrics_days", out.metrics_days, IntegerFormat{1, 36'500});
    part.scalar("audit_days", out.audit_days, IntegerFormat{1, 36'500});
    part.scalar("passwords", out.passwords, IntegerFormat{1, 64});
    part.finish();
  }

  Dump dump_;
  Report report_;
  std::string folder_;
  bool (*knows_user_)(const std::string&);
  LoadedApi loaded_;
};

}  // namespace

Result<LoadedApi, std::vector<std::string>> parse_api_config(
    std::string_view text, const std::string& file_name,
    bool (*knows_user)(const std::string&)) {
  Problems problems(file_name);
  const std::optional<Value> root = parse_yaml(text, problems);
  if (!root) return problems.lines();
  if (root->kind != Value::Kind::kMap) {
    problems.add(root->at,
                 "a map (key: value) is expected, with at least listen, "
                 "admin_listen, database and secrets_key_file");
    return problems.lines();
  }
  LoadedApi loaded =
      Reader(problems, folder_of(file_name), knows_user).read(*root);
  if (!problems.empty()) return problems.lines();
  return loaded;
}

Result<LoadedApi, std::vector<std::string>> load_api_config(
    const std::string& path, bool (*knows_user)(const std::string&)) {
  const Result<std::string> text = read_file(path);
  if (!text) return std::vector{text.error().message};
  return parse_api_config(text.value(), path, knows_user);
}

}  // namespace fealty::conf
