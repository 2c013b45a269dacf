#include "conf/router_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace fealty::conf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::SizeIs;
using testing::StartsWith;

constexpr const char* kListener =
    "listeners: [{address: \"127.0.0.1:8080\", protocol: http}]\n";

Loaded loaded(const std::string& text,
              const std::string& file_name = "/etc/fealty/r.yaml") {
  auto result = parse_router_config(text, file_name);
  if (result) return *std::move(result);
  for (const std::string& line : result.error()) ADD_FAILURE() << line;
  return {};
}

// A valid file with `text` behind its one listener (line 1).
RouterConfig with(const std::string& text) {
  return loaded(kListener + text).config;
}

std::vector<std::string> problems(const std::string& text) {
  const auto result = parse_router_config(text, "r.yaml");
  return result ? std::vector<std::string>{} : result.error();
}
std::vector<std::string> problems_with(const std::string& text) {
  return problems(kListener + text);
}

std::string without_comments(const std::string& dump) {
  std::istringstream lines(dump);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    // A line without a value has no comment, but text may hold "# " itself.
    const std::size_t comment = line.rfind("# ");
    line.resize(std::min(comment, line.size()));
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/fealty-conf-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(RouterConfig, FillsTheDefaultsOfTheOptions) {
  const RouterConfig config = with("");
  const router::Options router;
  const subscription::Options subscription;
  EXPECT_EQ(config.router.workers, router.workers);
  EXPECT_EQ(config.router.user, router.user);
  EXPECT_EQ(config.router.temp_dir, router.temp_dir);
  EXPECT_EQ(config.router.limits.body_bytes, UINT64_MAX);
  EXPECT_THAT(config.router.admin, IsEmpty());
  EXPECT_THAT(config.router.extra_variables, IsEmpty());
  EXPECT_EQ(config.subscription.tolerance_ms, subscription.tolerance_ms);
  EXPECT_TRUE(config.subscription.dotsplit);
  EXPECT_FALSE(config.subscription.sign_check.has_value());
  EXPECT_FALSE(config.subscription.use_credentials);
  EXPECT_EQ(config.subscription.allow_addresses.networks.size(),
            subscription.allow_addresses.networks.size());
}

TEST(RouterConfig, ReadsEveryOption) {
  const RouterConfig config = loaded(R"(
workers: 3
user: fealty
listeners:
  - {address: "0.0.0.0:80", protocol: http}
  - {address: "[::]:80", protocol: http, proxy_protocol: false, trusted: []}
  - {address: "unix:/run/fealty.sock", protocol: http, mode: "0660"}
  - {address: "unix:run/here.sock"}
  - {address: "fd:3", protocol: http, redirect_to_https: false}
subscription:
  servers:
    - {address: "unix:/run/subscribe/http", mode: "0666"}
    - {address: "127.0.0.1:2626"}
  tolerance: 30s
  dotsplit: false
  mountpoints: 16
  algorithm: wlrc
  emperor: "unix:run/emperor"
  sticky_secret_file: sticky.key
  sign_check:
    {digest: SHA256, keys: domains, tolerance: 90s, skip_uids: [33, 0]}
  use_credentials: true
  credentials_check: owners
  slow_start: 20s
  allow_addresses: ["127.0.0.0/8", "fd00::/8", "unix:/containers/", "@x"]
  allow_sni_paths: ["/containers/"]
  resubscribe: ["10.1.0.2:2626", "unix:run/front"]
  resubscribe_bind: "10.1.0.1:3026"
  resubscribe_as: "10.1.0.1:80"
  expect_port_in_key: true
health_check: {path: "/up?x=1", interval: 3s, timeout: 500ms, fall: 4, rise: 2}
static:
  - {key: Example.com., nodes: ["127.0.0.1:8000"], protocol: http}
  - key: .example.org
    nodes: ["10.0.0.2:3031", "unix:run/app"]
    protocol: uwsgi
    weight: 3
    modifier1: 5
    modifier2: 6
    backup: 2
    algorithm: lrc
timeouts:
  {head: 1s, connect: 2s, node: 3m, client: 4s, keepalive: 500ms, drain: 1h,
   spawn: 5s}
limits: {head_bytes: 16k, connections: 1000, body_bytes: 10m, body_memory: 64k,
         hold: 3s, held_requests: 7}
temp_dir: tmp
variables: {PLATFORM: example, _X9: "", EMPTY_NOT: "a b"}
tls:
  {min_version: "1.2", ciphers: default, plain_http_for_client_auth: redirect}
admin: [ "127.0.0.1:5003", "unix:/run/admin.sock" ]
access_log: null
)").config;
  const router::Options& router = config.router;
  EXPECT_EQ(router.workers, 3U);
  EXPECT_EQ(router.user, "fealty");
  ASSERT_THAT(router.listeners, SizeIs(5));
  EXPECT_EQ(router.listeners[0].address.to_string(), "0.0.0.0:80");
  EXPECT_EQ(router.listeners[0].text, "0.0.0.0:80");
  EXPECT_EQ(router.listeners[0].inherited_fd, -1);
  EXPECT_EQ(router.listeners[1].address.to_string(), "[::]:80");
  EXPECT_EQ(router.listeners[2].address.unix_path(), "/run/fealty.sock");
  EXPECT_EQ(router.listeners[2].mode, mode_t{0660});
  EXPECT_EQ(router.listeners[3].address.unix_path(),
            "/etc/fealty/run/here.sock");
  EXPECT_EQ(router.listeners[4].inherited_fd, 3);
  EXPECT_EQ(router.listeners[4].text, "fd:3");
  EXPECT_EQ(router.timeouts.head_ms, 1000);
  EXPECT_EQ(router.timeouts.connect_ms, 2000);
  EXPECT_EQ(router.timeouts.node_ms, 180'000);
  EXPECT_EQ(router.timeouts.client_ms, 4000);
  EXPECT_EQ(router.timeouts.keepalive_ms, 500);
  EXPECT_EQ(router.timeouts.drain_ms, 3'600'000);
  EXPECT_EQ(router.limits.head_bytes, 16U * 1024);
  EXPECT_EQ(router.limits.connections, 1000U);
  EXPECT_EQ(router.limits.body_bytes, 10U * 1024 * 1024);
  EXPECT_EQ(router.limits.body_memory_bytes, 64U * 1024);
  EXPECT_EQ(router.timeouts.spawn_ms, 5000);
  ASSERT_TRUE(router.emperor);
  EXPECT_EQ(router.emperor->unix_path(), "/etc/fealty/run/emperor");
  EXPECT_EQ(router.limits.hold_ms, 3000);
  EXPECT_EQ(config.subscription.hold_ms, 3000);
  EXPECT_EQ(router.limits.held_requests, 7U);
  EXPECT_EQ(router.temp_dir, "/etc/fealty/tmp");
  using Pair = std::pair<std::string, std::string>;
  EXPECT_THAT(router.extra_variables,
              ElementsAre(Pair("PLATFORM", "example"), Pair("_X9", ""),
                          Pair("EMPTY_NOT", "a b")));
  ASSERT_THAT(router.admin, SizeIs(2));
  EXPECT_EQ(router.admin[1].to_string(), "/run/admin.sock");

  const subscription::Options& subscription = config.subscription;
  ASSERT_THAT(subscription.servers, SizeIs(2));
  EXPECT_EQ(subscription.servers[0].mode, mode_t{0666});
  EXPECT_EQ(subscription.servers[1].address.to_string(), "127.0.0.1:2626");
  EXPECT_EQ(subscription.tolerance_ms, 30'000);
  EXPECT_FALSE(subscription.dotsplit);
  EXPECT_EQ(subscription.mountpoints, 16U);
  EXPECT_TRUE(subscription.expect_port_in_key);
  EXPECT_EQ(router.routes.mountpoints, 16U);
  EXPECT_TRUE(router.routes.expect_port_in_key);
  EXPECT_EQ(subscription.algorithm, subscription::Algorithm::kWlrc);
  EXPECT_EQ(router.sticky_secret_file, "/etc/fealty/sticky.key");
  ASSERT_TRUE(subscription.sign_check.has_value());
  EXPECT_EQ(subscription.sign_check->digest, subscription::Digest::kSha256);
  EXPECT_EQ(subscription.sign_check->keys, "/etc/fealty/domains");
  EXPECT_EQ(subscription.sign_check->tolerance_s, 90);
  EXPECT_THAT(subscription.sign_check->skip_uids, ElementsAre(33U, 0U));
  EXPECT_TRUE(subscription.use_credentials);
  const auto& allowed = subscription.allow_addresses;
  ASSERT_THAT(allowed.networks, SizeIs(2));
  EXPECT_TRUE(allowed.networks[0].contains(
      Address::parse("127.9.9.9:1").value()));
  EXPECT_TRUE(allowed.networks[1].contains(Address::parse("[fd00::1]:1")
                                               .value()));
  EXPECT_THAT(allowed.unix_prefixes, ElementsAre("/containers/", "@x"));
  EXPECT_EQ(subscription.credentials_check, "/etc/fealty/owners");
  EXPECT_EQ(subscription.slow_start_ms, 20'000);
  ASSERT_THAT(subscription.resubscribe, SizeIs(2));
  EXPECT_EQ(subscription.resubscribe[0].to_string(), "10.1.0.2:2626");
  EXPECT_EQ(subscription.resubscribe[1].to_string(), "/etc/fealty/run/front");
  EXPECT_EQ(subscription.resubscribe_bind->to_string(), "10.1.0.1:3026");
  EXPECT_EQ(subscription.own_address.to_string(), "10.1.0.1:80");
  ASSERT_TRUE(router.health_check.has_value());
  EXPECT_EQ(router.health_check->path, "/up?x=1");
  EXPECT_EQ(router.health_check->interval_ms, 3000);
  EXPECT_EQ(router.health_check->timeout_ms, 500);
  EXPECT_EQ(router.health_check->fall, 4U);
  EXPECT_EQ(router.health_check->rise, 2U);
  ASSERT_THAT(subscription.static_nodes, SizeIs(3));
  const subscription::StaticNode& web = subscription.static_nodes[0];
  EXPECT_EQ(web.key, "example.com");
  EXPECT_EQ(web.address.to_string(), "127.0.0.1:8000");
  EXPECT_EQ(web.protocol, subscription::Protocol::kHttp);
  EXPECT_EQ(web.weight, 1U);
  EXPECT_EQ(web.algorithm, std::nullopt);
  const subscription::StaticNode& app = subscription.static_nodes[2];
  EXPECT_EQ(app.key, ".example.org");
  EXPECT_EQ(app.address.unix_path(), "/etc/fealty/run/app");
  EXPECT_EQ(app.protocol, subscription::Protocol::kUwsgi);
  EXPECT_EQ(app.weight, 3U);
  EXPECT_EQ(app.modifier1, 5);
  EXPECT_EQ(app.modifier2, 6);
  EXPECT_EQ(app.backup, 2U);
  EXPECT_EQ(app.algorithm, subscription::Algorithm::kLrc);
}

TEST(RouterConfig, EachProblemOfAStaticNodeHasItsPlace) {
  EXPECT_THAT(
      problems_with(R"(static:
  - {key: "a b", nodes: ["127.0.0.1:1"], protocol: http}
  - {key: a.example, nodes: [], protocol: http}
  - {key: a.example, protocol: http}
  - {key: a.example, nodes: ["127.0.0.1"], protocol: http}
  - {key: a.example, nodes: ["127.0.0.1:1"], protocol: fastcgi}
  - {key: a.example, nodes: ["127.0.0.1:2"]}
  - {nodes: ["127.0.0.1:3"], protocol: uwsgi}
  - {key: a.example/x, nodes: ["127.0.0.1:4"], protocol: uwsgi}
  - {key: b.example, nodes: ["127.0.0.1:5", "127.0.0.1:5"], protocol: uwsgi}
  - {key: c.example, nodes: ["127.0.0.1:6"], protocol: http, modifier1: 5}
  - {key: c.example, nodes: ["127.0.0.1:8"], protocol: uwsgi, weight: 0}
  - {key: d.example, nodes: ["127.0.0.1:9"], protocol: uwsgi, algorithm: x}
  - {key: e.example, nodes: ["127.0.0.1:9"], protocol: uwsgi, wieght: 1}
)"),
      ElementsAre(
          HasSubstr("r.yaml:3:11: static[0].key: 'a b' is no key"),
          HasSubstr("r.yaml:4:29: static[1].nodes: at least one address"),
          HasSubstr("r.yaml:5:5: static[2].nodes: at least one address"),
          HasSubstr("r.yaml:6:30: static[3].nodes: '127.0.0.1' is not an"),
          HasSubstr("r.yaml:7:56: static[4].protocol: 'fastcgi' is not"),
          HasSubstr("r.yaml:8:5: static[5].protocol: this key is needed"),
          HasSubstr("r.yaml:9:5: static[6].key: this key is needed"),
          HasSubstr("r.yaml:10:11: static[7].key: 'a.example/x' has a mount"),
          HasSubstr("r.yaml:11:45: static[8].nodes: '127.0.0.1:5' is a node "
                    "of this key's already"),
          HasSubstr("r.yaml:12:73: static[9].modifier1: only protocol uwsgi"),
          HasSubstr("r.yaml:13:71: static[10].weight: '0' is not a number"),
          HasSubstr("r.yaml:14:74: static[11].algorithm: 'x' is not one of"),
          HasSubstr("r.yaml:15:63: unknown key 'static[12].wieght'; nearest "
                    "valid key: 'weight'")));
}

TEST(RouterConfig, EmperorIsAUnixSocket) {
  EXPECT_FALSE(with("subscription: {emperor: null}").router.emperor);
  EXPECT_TRUE(with("subscription: {emperor: '@emperor'}").router.emperor);
  EXPECT_THAT(problems_with("subscription: {emperor: '127.0.0.1:5'}"),
              ElementsAre(HasSubstr("is not a Unix socket")));
}

TEST(RouterConfig, BoundsTheMountpoints) {
  EXPECT_EQ(with("subscription: {mountpoints: 3}").router.routes.mountpoints,
            3U);
  for (const char* text : {"17", "-1", "yes"}) {
    EXPECT_THAT(
        problems_with("subscription: {mountpoints: " + std::string(text) + "}"),
        ElementsAre(HasSubstr("r.yaml:2:29: subscription.mountpoints: ")));
  }
}

TEST(RouterConfig, TakesEveryAlgorithm) {
  for (const auto algorithm :
       {subscription::Algorithm::kWrr, subscription::Algorithm::kLrc,
        subscription::Algorithm::kWlrc, subscription::Algorithm::kIphash,
        subscription::Algorithm::kSticky}) {
    const std::string word(subscription::to_string(algorithm));
    EXPECT_EQ(with("subscription: {algorithm: " + word + "}")
                  .subscription.algorithm,
              algorithm);
  }
}

TEST(RouterConfig, TakesTheShortFormOfSignCheck) {
  const auto check =
      with("subscription: {sign_check: \"SHA512:keys\"}").subscription
          .sign_check;
  ASSERT_TRUE(check.has_value());
  EXPECT_EQ(check->digest, subscription::Digest::kSha512);
  EXPECT_EQ(check->keys, "/etc/fealty/keys");
  EXPECT_THAT(check->skip_uids, IsEmpty());
  for (const char* text : {"SHA1", "SHA1:", "MD5:/x", ":/x", "''"}) {
    EXPECT_THAT(problems_with("subscription: {sign_check: \"" +
                              std::string(text) + "\"}"),
                ElementsAre(HasSubstr("r.yaml:2:28: subscription.sign_check")))
        << text;
  }
}

TEST(RouterConfig, ClusterSamplesAreFine) {
  for (const char* const name : {"/cluster-router.yaml", "/cluster-fastrouter.yaml"}) {
    const auto loaded = load_router_config(std::string(FEALTY_CONF_FOLDER) + name);
    EXPECT_TRUE(loaded) << loaded.error().front();
  }
}

TEST(RouterConfig, FastrouterIsPassedOnAsOneThatSpeaksUwsgi) {
  const auto loaded = parse_router_config(
      "listeners: [{address: '10.1.0.1:1999', protocol: uwsgi}]\n"
      "subscription: {resubscribe: ['unix:/run/subscribe/dgram']}\n", "f");
  ASSERT_TRUE(loaded) << loaded.error().front();
  const auto& subscription = loaded->config.subscription;
  EXPECT_EQ(subscription.own_address.to_string(), "10.1.0.1:1999");
  EXPECT_EQ(subscription.own_protocol, subscription::Protocol::kUwsgi);
}

TEST(RouterConfig, ListenerOfTheAddressThatIsPassedOnSaysTheProtocol) {
  const auto protocol_as = [](std::string_view as) {
    return loaded("listeners: [{address: '10.1.0.1:80'}, "
                  "{address: '10.1.0.1:1999', protocol: uwsgi}, "
                  "{address: 'fd:3', protocol: uwsgi}]\n"
                  "subscription: {resubscribe: ['unix:/d'], resubscribe_as: '" +
                  std::string(as) + "'}\n")
        .config.subscription.own_protocol;
  };
  using subscription::Protocol;
  EXPECT_EQ(protocol_as("192.0.2.1:1999"), Protocol::kUwsgi);
  EXPECT_EQ(protocol_as("10.1.0.1:80"), Protocol::kHttp);
  EXPECT_EQ(protocol_as("192.0.2.1:8000"), Protocol::kHttp) << "the first one";
  EXPECT_EQ(loaded("listeners: [{address: 'fd:3', protocol: uwsgi}]\n"
                   "subscription: {resubscribe: ['unix:/d'], "
                   "resubscribe_as: '10.1.0.1:1999'}\n")
                .config.subscription.own_protocol,
            Protocol::kUwsgi);
}

TEST(RouterConfig, SealedListenersNeedTheClustersSecret) {
  const std::string listener =
      "listeners: [{address: '10.1.0.1:1999', protocol: uwsgi, sealed: true}]\n";
  const auto config =
      loaded(listener + "cluster: {secret_file: /etc/fealty/cluster.key}").config;
  EXPECT_TRUE(config.router.listeners[0].sealed);
  EXPECT_EQ(config.router.cluster_secret_file, "/etc/fealty/cluster.key");
  EXPECT_THAT(problems(listener),
              ElementsAre(HasSubstr("cluster.secret_file is needed")));
  EXPECT_THAT(problems("listeners: [{address: '10.1.0.1:80', sealed: true}]\n"
                       "cluster: {secret_file: a}"),
              ElementsAre(HasSubstr("only listeners of protocol uwsgi")));
}

TEST(RouterConfig, SocketsAndAddressesOfTheTrusted) {
  const auto subscription =
      with("subscription: {servers: [{address: 'unix:/run/f', mode: '0660', "
           "group: fealty}], sign_check: {keys: /k, skip_uids: [998]}, "
           "allow_addresses: ['unix:/containers/'], "
           "allow_trusted_addresses: ['10.1.0.0/24', 'unix:/run/x/']}")
          .subscription;
  EXPECT_EQ(subscription.servers[0].group, "fealty");
  EXPECT_THAT(subscription.allow_trusted_addresses.networks, SizeIs(1));
  EXPECT_THAT(subscription.allow_trusted_addresses.unix_prefixes,
              ElementsAre("/run/x/"));
  EXPECT_THAT(problems_with("subscription: {allow_trusted_addresses: "
                            "['10.1.0.0/24']}"),
              ElementsAre(HasSubstr("nobody is trusted")));
  EXPECT_THAT(problems_with("subscription: {servers: [{address: "
                            "'127.0.0.1:2626', group: fealty}]}"),
              ElementsAre(HasSubstr("only a Unix socket's file has a group")));
  EXPECT_THAT(with("subscription: {sign_check: {keys: /k, skip_uids: [998]}, "
                   "allow_trusted_addresses: ['unix:/run/x/']}")
                  .router.node_path_prefixes,
              IsEmpty())
      << "every path is allowed by default";
}

TEST(RouterConfig, TicketKeysAreOfAFileOrOfASecret) {
  EXPECT_EQ(with("tls: {ticket_secret_file: legion.key}")
                .router.tls.tickets.secret_file,
            "/etc/fealty/legion.key");
  EXPECT_THAT(problems_with("tls: {ticket_keys: a, ticket_secret_file: b}"),
              ElementsAre(HasSubstr("one of the two")));
}

TEST(RouterConfig, TakesASingleAdminAddress) {
  EXPECT_THAT(with("admin: \"127.0.0.1:5003\"").router.admin, SizeIs(1));
  EXPECT_THAT(with("admin: []").router.admin, IsEmpty());
  EXPECT_THAT(with("admin: null").router.admin, IsEmpty());
}

TEST(RouterConfig, WorkersAreAutoOrBounded) {
  EXPECT_EQ(with("workers: auto").router.workers, 0U);
  EXPECT_EQ(with("workers: 256").router.workers, 256U);
  for (const char* text : {"0", "257", "two", "-1"}) {
    EXPECT_THAT(problems_with("workers: " + std::string(text)),
                ElementsAre(HasSubstr("r.yaml:2:10: workers: ")));
  }
}

TEST(RouterConfig, TheSampleLoadsAndNeedsNoPrivileges) {
  const auto result = load_router_config(FEALTY_CONF_SAMPLE);
  ASSERT_TRUE(result.has_value()) << result.error().front();
  const RouterConfig& config = result.value().config;
  for (const auto& listener : config.router.listeners) {
    EXPECT_GE(listener.address.port(), 1024);
  }
  for (const auto& server : config.subscription.servers) {
    EXPECT_GE(server.address.port(), 1024);
  }
  EXPECT_THAT(config.router.admin, SizeIs(1));
}

// The sample names every served key with its default, but for addresses.
TEST(RouterConfig, TheSampleStatesTheDefaults) {
  const auto sample = load_router_config(FEALTY_CONF_SAMPLE);
  ASSERT_TRUE(sample.has_value());
  const std::string bare = loaded(R"(
listeners: [{address: "127.0.0.1:8080"}]
subscription: {servers: [{address: "127.0.0.1:2626"}]}
admin: "127.0.0.1:5003"
)").dump;
  EXPECT_EQ(without_comments(sample.value().dump), without_comments(bare));
  std::istringstream lines(sample.value().dump);
  for (std::string line; std::getline(lines, line);) {
    const bool may_be_absent = line.find("mode:") != line.npos ||
                               line.find("group:") != line.npos ||
                               line.find("sealed:") != line.npos;
    EXPECT_TRUE(may_be_absent || line.find("# default") == line.npos) << line;
  }
}

TEST(RouterConfig, DumpSaysWhereEachValueCameFrom) {
  const std::string dump = loaded(std::string(kListener) +
                                  "timeouts:\n  head: 3s\n").dump;
  EXPECT_THAT(dump, HasSubstr("  head: 3s"));
  const auto line_with = [&](const std::string& text) {
    const std::size_t at = dump.find(text);
    return dump.substr(at, dump.find('\n', at) - at);
  };
  EXPECT_THAT(line_with("- address: "),
              AllOf(HasSubstr("\"127.0.0.1:8080\""),
                    HasSubstr("# /etc/fealty/r.yaml:1")));
  EXPECT_THAT(line_with("  head: "), HasSubstr("# /etc/fealty/r.yaml:3"));
  EXPECT_THAT(line_with("  connect: "),
              AllOf(HasSubstr("1m"), HasSubstr("# default")));
}

TEST(RouterConfig, DumpListsEveryOptionWithItsOrigin) {
  const std::string dump = loaded(std::string(kListener) + R"(
subscription: {servers: [{address: "127.0.0.1:1"}], sign_check: {keys: k}}
)").dump;
  for (const char* key :
       {"workers", "user", "listeners", "address", "protocol", "mode",
        "subscription", "servers", "tolerance", "dotsplit", "mountpoints",
        "expect_port_in_key", "algorithm", "emperor", "sticky_secret_file",
        "sign_check", "digest", "keys", "skip_uids", "use_credentials",
        "allow_addresses", "timeouts", "head", "connect", "node", "client",
        "keepalive", "drain", "spawn", "limits", "head_bytes", "connections",
        "body_bytes", "body_memory", "hold", "held_requests", "temp_dir",
        "variables", "admin"}) {
    EXPECT_THAT(dump, testing::ContainsRegex("(^|\n)[ -]*" + std::string(key) +
                                             ":")) << key;
  }
  std::istringstream lines(dump);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_THAT(line, testing::ContainsRegex(
        "^[ -]*[a-z_]+:($| .* # (default|/etc/fealty/r.yaml:[0-9]+)$)"));
  }
}

TEST(RouterConfig, DumpReadsBackToTheSame) {
  for (const std::string& text :
       {std::string("admin: '127.0.0.1:1'\n"),
        std::string("variables: {A: \"q\\\"\\\\\", B: \"\xc3\xa4 # x: y\"}\n"),
        std::string("subscription: {sign_check: 'SHA256:k #'}\n"),
        std::string("subscription: {sign_check: {keys: k, skip_uids: [1]}}\n"),
        std::string("subscription: {allow_addresses: [::1, 'unix:@a']}\n"
                    "limits: {body_bytes: 1000}\ntimeouts: {node: 1001ms}\n"),
        std::string("tls: {min_version: 1.3, ciphers: 'A:B'}\nstatic: []\n"
                    "subscription: {servers: [{address: 'unix:@x'}, "
                    "{address: 'unix:s', mode: 600}], mountpoints: 0}\n")}) {
    const std::string first = loaded(kListener + text).dump;
    EXPECT_EQ(without_comments(loaded(first).dump), without_comments(first))
        << text;
  }
}

TEST(RouterConfig, NeedsAListener) {
  EXPECT_THAT(problems("workers: 1\n"),
              ElementsAre(StartsWith("r.yaml:1:1: listeners: at least one")));
  EXPECT_THAT(problems("workers: 1\nlisteners: []\n"),
              ElementsAre(StartsWith("r.yaml:2:12: listeners: at least one")));
  EXPECT_THAT(problems("listeners:\n"), SizeIs(1));
  EXPECT_THAT(problems("listeners: 5\n"),
              ElementsAre("r.yaml:1:12: listeners: a list is expected here"));
  EXPECT_THAT(problems("listeners: [{protocol: http}]\n"),
              ElementsAre(HasSubstr("listeners[0].address: this key is "
                                    "needed")));
  EXPECT_THAT(problems("listeners: [\"127.0.0.1:80\"]\n"),
              ElementsAre(HasSubstr("listeners[0]: a map such as")));
}

TEST(RouterConfig, NamesTheNearestKeyOnEveryLevel) {
  EXPECT_THAT(
      problems(R"(listners: []
listeners: [{adress: "127.0.0.1:1", address: "127.0.0.1:1"}]
subscription:
  tolerence: 1s
  servers: [{address: "127.0.0.1:2", mod: 666}]
  sign_check: {keys: x, digset: SHA1}
timeouts: {kepalive: 1s}
limits: {head_byte: 1k}
tls: {min_versoin: 1}
)"),
      ElementsAre(
          "r.yaml:1:1: unknown key 'listners'; nearest valid key: 'listeners'",
          "r.yaml:2:14: unknown key 'listeners[0].adress'; nearest valid key: "
          "'address'",
          "r.yaml:4:3: unknown key 'subscription.tolerence'; nearest valid "
          "key: 'tolerance'",
          "r.yaml:5:38: unknown key 'subscription.servers[0].mod'; nearest "
          "valid key: 'mode'",
          "r.yaml:6:25: unknown key 'subscription.sign_check.digset'; nearest "
          "valid key: 'digest'",
          "r.yaml:7:12: unknown key 'timeouts.kepalive'; nearest valid key: "
          "'keepalive'",
          "r.yaml:8:10: unknown key 'limits.head_byte'; nearest valid key: "
          "'head_bytes'",
          "r.yaml:9:7: unknown key 'tls.min_versoin'; nearest valid key: "
          "'min_version'"));
}

TEST(RouterConfig, EveryProblemHasLineAndColumn) {
  const auto lines = problems(R"(
workers: none
user: "a b"
listeners:
  - {address: "nowhere", protocol: ftp}
  - {address: "127.0.0.1:0", mode: "0666"}
  - {address: "127.0.0.1:1", mode: "0666"}
  - {address: "fd:1"}
  - {address: "127.0.0.1:1"}
  - {address: "127.0.0.1:2", certificate: x, key: y}
  - {}
  - 5
subscription:
  servers: [{address: ":0"}, {}]
  tolerance: never
  dotsplit: maybe
  algorithm: random
  sign_check: {digest: MD5, tolerance: 1ms, skip_uids: [root, -1]}
  use_credentials: 2
  allow_addresses: [300.0.0.0/8, "unix:"]
  allow_sni_paths: [""]
timeouts: {head: 0s, connect: 1, node: x, client: [], keepalive: {}, drain: }
limits: {head_bytes: 65k, connections: 0, body_bytes: 0, body_memory: 1}
temp_dir: ""
variables: {lower: 1, HTTP_HOST: x, REMOTE_ADDR: y, OK: [1]}
tls: {min_version: 1.1, plain_http_for_client_auth: ask}
admin: [127.0.0.1, 5]
)");
  EXPECT_THAT(lines, SizeIs(testing::Ge(40U)));
  for (const std::string& line : lines) {
    EXPECT_THAT(line, MatchesRegex("r\\.yaml:[1-9][0-9]*:[1-9][0-9]*: .+"));
  }
}

TEST(RouterConfig, ListenersSayWhomTheyTrust) {
  const auto listener = [](const std::string& text) {
    return "listeners: [{address: \"127.0.0.1:1\", " + text + "}]";
  };
  const auto proxied =
      loaded(listener("proxy_protocol: true, trusted: [10.0.0.0/8, \"::1\"]"))
          .config.router.listeners.front();
  EXPECT_TRUE(proxied.proxy_protocol);
  EXPECT_THAT(proxied.trusted, SizeIs(2));
  EXPECT_EQ(loaded(listener("protocol: uwsgi"))
                .config.router.listeners.front()
                .protocol,
            router::ListenerProtocol::kUwsgi);
  for (const char* text :
       {"proxy_protocol: true", "trusted: [10.0.0.0/8]",
        "proxy_protocol: true, trusted: [nobody]",
        "protocol: uwsgi, proxy_protocol: true, trusted: [10.0.0.0/8]",
        "protocol: uwsgi, redirect_to_https: true"}) {
    EXPECT_THAT(problems(listener(text)),
                testing::Contains(StartsWith("r.yaml:1:")))
        << text;
  }
}

TEST(RouterConfig, AccessLogIsOffUnlessItIsAskedFor) {
  EXPECT_FALSE(with("").router.access_log);
  EXPECT_FALSE(with("access_log: null").router.access_log);
  const auto to_stdout = with("access_log: {path: \"-\", format: json}");
  EXPECT_EQ(to_stdout.router.access_log->path, "-");
  const auto to_file =
      with("access_log: {path: /var/log/a.log, format: combined}");
  EXPECT_EQ(to_file.router.access_log->path, "/var/log/a.log");
  EXPECT_EQ(to_file.router.access_log->format,
            router::AccessFormat::kCombined);
  EXPECT_THAT(problems_with("access_log: {format: apache}"),
              ElementsAre(StartsWith("r.yaml:2:")));
}

TEST(RouterConfig, HttpsListenersHaveAnIdentity) {
  const auto config = loaded(R"(
listeners:
  - {address: "127.0.0.1:1", protocol: https, certificate: a.crt, key: a.key}
  - {address: "127.0.0.1:2", protocol: https, certificate: /a.crt, key: /a.key,
     client_ca: "!ca.crt"}
  - {address: "127.0.0.1:3", redirect_to_https: true}
tls: {min_version: "1.3", plain_http_for_client_auth: refuse, client_depth: 3}
subscription: {resubscribe: ['127.0.0.1:1'], allow_sni_paths: [/containers/]}
)").config;
  const auto& listeners = config.router.listeners;
  ASSERT_EQ(listeners.size(), 3U);
  EXPECT_EQ(listeners[0].protocol, router::ListenerProtocol::kHttps);
  EXPECT_THAT(listeners[0].identity.certificate, EndsWith("/a.crt"));
  EXPECT_EQ(listeners[0].identity.client_ca, "");
  EXPECT_EQ(listeners[1].identity.key, "/a.key");
  EXPECT_THAT(listeners[1].identity.client_ca,
              AllOf(StartsWith("!/"), EndsWith("/ca.crt")));
  EXPECT_TRUE(listeners[2].redirect_to_https);
  EXPECT_EQ(config.router.tls.min_version, sni::TlsVersion::k13);
  EXPECT_EQ(config.router.plain_http_for_client_auth,
            router::PlainHttp::kRefuse);
  EXPECT_EQ(config.router.tls.client_depth, 3U);
  EXPECT_TRUE(config.subscription.serves_sni);
  EXPECT_THAT(config.subscription.allow_sni_paths, ElementsAre("/containers/"));
  EXPECT_EQ(config.subscription.own_address.to_string(), "127.0.0.1:3")
      << "what is passed on is a node of plain HTTP";
}

TEST(RouterConfig, HttpsNeedsWhatPlainHttpMustNotHave) {
  EXPECT_THAT(
      problems("listeners: [{address: '127.0.0.1:1', protocol: https}]"),
      ElementsAre(HasSubstr("listeners[0].certificate: this key is needed"),
                  HasSubstr("listeners[0].key: this key is needed")));
  EXPECT_THAT(problems("listeners: [{address: '127.0.0.1:1', key: a}]"),
              ElementsAre(HasSubstr("only protocol https has it")));
  EXPECT_THAT(
      problems("listeners: [{address: '127.0.0.1:1', protocol: https, "
               "certificate: a, key: b, redirect_to_https: true}]"),
      ElementsAre(HasSubstr("this listener speaks HTTPS itself")));
  EXPECT_FALSE(loaded(kListener).config.subscription.serves_sni);
}

TEST(RouterConfig, PassesItsFirstListenerOnUnlessToldOtherwise) {
  EXPECT_EQ(with("subscription: {resubscribe: ['127.0.0.1:1']}")
                .subscription.own_address.to_string(),
            "127.0.0.1:8080");
  EXPECT_THAT(problems("listeners: [{address: 'fd:3'}]\n"
                       "subscription: {resubscribe: ['127.0.0.1:1']}"),
              ElementsAre(HasSubstr("r.yaml:2:29: subscription.resubscribe: no "
                                    "listener has an address")));
  EXPECT_THAT(problems_with("subscription: {resubscribe: [x]}"),
              ElementsAre(HasSubstr("r.yaml:2:30: subscription.resubscribe")));
}

TEST(RouterConfig, HealthChecksAreOffOrHaveUsableNumbers) {
  EXPECT_FALSE(with("health_check: null").router.health_check.has_value());
  EXPECT_TRUE(with("health_check: {fall: 3}").router.health_check.has_value());
  EXPECT_THAT(
      problems_with("health_check: {path: x, interval: 1s, timeout: 2s, "
                    "fall: 0, rise: 101, x: 1}"),
      ElementsAre(HasSubstr("r.yaml:2:22: health_check.path: 'x' is no path"),
                  HasSubstr("r.yaml:2:48: health_check.timeout: it is longer"),
                  HasSubstr("r.yaml:2:58: health_check.fall"),
                  HasSubstr("r.yaml:2:67: health_check.rise"),
                  HasSubstr("r.yaml:2:72: unknown key 'health_check.x'")));
}

TEST(RouterConfig, RefusesTwoSocketsOfOneAddress) {
  EXPECT_THAT(problems_with("admin: ['127.0.0.1:8080']"),
              ElementsAre("r.yaml:2:9: admin: '127.0.0.1:8080' is taken "
                          "already in line 1"));
  EXPECT_THAT(problems_with("subscription: {servers: [{address: 'unix:/a'}, "
                            "{address: /a}]}"),
              ElementsAre(HasSubstr("'/a' is taken already")));
  EXPECT_THAT(problems("listeners: [{address: 'fd:4'}, {address: 'fd:4'}]"),
              ElementsAre(HasSubstr("another listener's")));
  // UDP and TCP do not share their ports.
  EXPECT_THAT(problems_with("subscription: {servers: [{address: "
                            "'127.0.0.1:8080'}]}"),
              IsEmpty());
}

TEST(RouterConfig, AModeIsForUnixSocketsOnly) {
  for (const char* address : {"127.0.0.1:1", "unix:@x", "fd:3"}) {
    EXPECT_THAT(problems("listeners: [{address: \"" + std::string(address) +
                         "\", mode: \"0600\"}]"),
                ElementsAre(HasSubstr("listeners[0].mode: only a Unix")))
        << address;
  }
}

TEST(RouterConfig, RefusesVariablesThatTheRouterSets) {
  for (const char* name :
       {"REQUEST_METHOD", "PATH_INFO", "REMOTE_ADDR", "HTTPS", "HTTPS_DN",
        "HTTP_HOST", "UWSGI_ROUTER", "CONTENT_LENGTH", "SERVER_NAME"}) {
    EXPECT_THAT(problems_with("variables: {" + std::string(name) + ": x}"),
                ElementsAre(AllOf(HasSubstr("r.yaml:2:13: variables: '"),
                                  HasSubstr("the router sets itself"))))
        << name;
  }
}

TEST(RouterConfig, BoundsTheVariables) {
  for (const char* name : {"lower", "A-B", "A B", "\"\"", "A.B"}) {
    EXPECT_THAT(problems_with("variables: {" + std::string(name) + ": x}"),
                ElementsAre(HasSubstr("is no variable's name")));
  }
  const std::string large(8000, 'x');
  EXPECT_THAT(problems_with("variables: {A: " + large + ", B: " + large + "}"),
              IsEmpty());
  EXPECT_THAT(problems_with("variables: {A: " + large + ", B: " + large +
                            ", C: " + large + "}"),
              ElementsAre(HasSubstr("more than 16k")));
  std::string many = "variables:\n";
  for (int i = 0; i < 257; ++i) many += "  V" + std::to_string(i) + ": x\n";
  EXPECT_THAT(problems_with(many), ElementsAre(HasSubstr("more than 256")));
}

TEST(RouterConfig, RefusesAnEmptyAllowList) {
  EXPECT_THAT(problems_with("subscription: {allow_addresses: []}"),
              ElementsAre(HasSubstr("no node could announce itself")));
}

TEST(RouterConfig, SaysWhatIsWrongWithAWholeFile) {
  EXPECT_THAT(problems(""), ElementsAre(HasSubstr("r.yaml:1:1: the file is "
                                                  "empty")));
  EXPECT_THAT(problems("- a\n"),
              ElementsAre("r.yaml:1:1: a map (key: value) is expected here"));
  EXPECT_THAT(problems("text"), SizeIs(1));
  EXPECT_THAT(problems("a: [\n"), ElementsAre(HasSubstr("no valid YAML")));
  EXPECT_THAT(problems("workers: 1\nworkers: 2\n"),
              ElementsAre(HasSubstr("listeners"),
                          StartsWith("r.yaml:2:1: the key 'workers' is here a "
                                     "second time")));
}

TEST(RouterConfigFile, TakesRelativePathsFromItsFolder) {
  const TempFolder folder;
  const std::string path =
      folder.write("r.yaml", std::string(kListener) + "temp_dir: bodies\n");
  const auto result = load_router_config(path);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result.value().config.router.temp_dir, folder.path() + "/bodies");
}

TEST(RouterConfigFile, SaysWhyItCannotBeRead) {
  const TempFolder folder;
  const auto error_of = [](const std::string& path) {
    const auto result = load_router_config(path);
    return result ? std::vector<std::string>{} : result.error();
  };
  EXPECT_THAT(error_of(folder.path() + "/none.yaml"),
              ElementsAre(HasSubstr("/none.yaml: cannot be read: No such")));
  EXPECT_THAT(error_of(folder.path()),
              ElementsAre(HasSubstr("cannot be read: Is a directory")));
  EXPECT_THAT(error_of(folder.write("empty.yaml", "")),
              ElementsAre(HasSubstr("empty.yaml:1:1: the file is empty")));
  EXPECT_THAT(error_of(folder.write("large.yaml", std::string(2 << 20, '#'))),
              ElementsAre(HasSubstr("large.yaml:1:1: the file is larger than "
                                    "1 MiB")));
  EXPECT_THAT(error_of("/dev/zero"), ElementsAre(HasSubstr("larger than")));
  EXPECT_THAT(error_of("/dev/null"), ElementsAre(HasSubstr("empty")));
  if (geteuid() == 0) return;  // root reads everything
  const std::string secret = folder.write("secret.yaml", kListener);
  ASSERT_EQ(chmod(secret.c_str(), 0), 0);
  EXPECT_THAT(error_of(secret), ElementsAre(HasSubstr("Permission denied")));
}

TEST(RouterConfig, UserIsAskedForWhereItIsWritten) {
  const KnowsUser knows = [](const std::string& user) { return user == "web"; };
  const std::string listener = kListener;
  const auto refused =
      parse_router_config(listener + "user: nosuchuser\n", "r.yaml", knows);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(),
              ElementsAre(AllOf(HasSubstr("r.yaml:2:7: "),
                                HasSubstr("no user 'nosuchuser'"))));
  EXPECT_TRUE(parse_router_config(listener + "user: web\n", "r.yaml", knows));
  EXPECT_TRUE(parse_router_config(listener, "r.yaml", knows));
  EXPECT_TRUE(parse_router_config(listener + "user: nosuchuser\n", "r.yaml"));
}

}  // namespace
}  // namespace fealty::conf
