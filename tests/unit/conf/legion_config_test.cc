#include "conf/legion_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace fealty::conf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;
using legion::Event;
using legion::HookAction;

constexpr std::string_view kSample = R"(user: fealty
legions:
  - name: cluster
    address: "10.1.0.1:2000"
    valor: 98
    cipher: aes-128-cbc
    secret_file: /etc/fealty/legion.key
    iv: ""
    wire: uwsgi
    nodes: ["10.1.0.2:2000"]
    quorum: 2
    freq: 3s
    tolerance: 15s
    skew_tolerance: 60s
    scroll: ""
    death_on_lord_error: 30s
    hooks:
      lord: ["ip_add: 10.1.0.100/24 dev eth0", "exec: /usr/local/bin/i-am-lord"]
      unlord: ["ip_del: 10.1.0.100/24 dev eth0"]
admin: [ "127.0.0.1:5005" ]
)";

// `kSample` with one text in place of another.
std::string with(std::string_view from, std::string_view to) {
  std::string text(kSample);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

std::vector<std::string> problems(const std::string& text) {
  const auto loaded = parse_legion_config(text, "/etc/fealty/legion.yaml");
  return loaded ? std::vector<std::string>{} : loaded.error();
}

TEST(LegionConfig, DocumentedSampleIsRead) {
  const auto loaded = parse_legion_config(kSample, "/etc/fealty/legion.yaml");
  ASSERT_TRUE(loaded) << loaded.error().front();
  const legion::Options& options = loaded->options;
  ASSERT_EQ(options.legions.size(), 1U);
  const legion::LegionOptions& cluster = options.legions[0];
  EXPECT_EQ(cluster.name, "cluster");
  EXPECT_EQ(cluster.address.to_string(), "10.1.0.1:2000");
  EXPECT_EQ(cluster.election.valor, 98U);
  EXPECT_EQ(cluster.secret_file, "/etc/fealty/legion.key");
  EXPECT_EQ(cluster.election.tolerance_ms, 15'000);
  EXPECT_EQ(cluster.election.death_on_lord_error_ms, 30'000);
  const auto& lord = cluster.hooks[static_cast<std::size_t>(Event::kLord)];
  ASSERT_EQ(lord.size(), 2U);
  EXPECT_EQ(lord[0].kind, HookAction::Kind::kIpAdd);
  EXPECT_EQ(lord[0].address.to_string(), "10.1.0.100/24 dev eth0");
  EXPECT_EQ(lord[1].text, "/usr/local/bin/i-am-lord");
  EXPECT_EQ(options.admin.size(), 1U);
}

TEST(LegionConfig, DumpReadsBackToTheSame) {
  const auto loaded = parse_legion_config(kSample, "/etc/fealty/legion.yaml");
  ASSERT_TRUE(loaded);
  const auto again =
      parse_legion_config(loaded->dump, "/etc/fealty/legion.yaml");
  ASSERT_TRUE(again) << again.error().front();
  EXPECT_EQ(again->options.legions[0].hooks[2].size(), 2U);
}

TEST(LegionConfig, SamplesAreFine) {
  for (const char* const name : {"/legion-two.yaml", "/legion-three.yaml", "/cluster-legion.yaml"}) {
    const auto loaded = load_legion_config(std::string(FEALTY_CONF_FOLDER) + name);
    EXPECT_TRUE(loaded) << loaded.error().front();
  }
}

TEST(LegionConfig, SecretIsNotInTheDump) {
  const auto loaded = parse_legion_config(
      with("secret_file: /etc/fealty/legion.key", "secret: hush-hush"), "f");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->options.legions[0].secret, "hush-hush");
  EXPECT_EQ(loaded->dump.find("hush"), std::string::npos);
}

TEST(LegionConfig, UnknownKeyNamesTheNearest) {
  EXPECT_THAT(problems(with("quorum: 2", "qorum: 2")),
              ElementsAre(HasSubstr("legion.yaml:11:5: ")));
  EXPECT_THAT(problems(with("quorum: 2", "qorum: 2")),
              ElementsAre(HasSubstr("quorum")));
}

TEST(LegionConfig, WhatMakesNoSenseIsRefused) {
  EXPECT_THAT(problems(with("freq: 3s", "freq: 10s")),
              ElementsAre(HasSubstr("less than twice freq")));
  EXPECT_THAT(problems(with("\"10.1.0.1:2000\"", "\"unix:/run/x\"")),
              testing::Contains(HasSubstr("speaks UDP")));
  EXPECT_THAT(problems(with("\"10.1.0.2:2000\"", "\"[fd00::1]:2000\"")),
              ElementsAre(HasSubstr("another kind")));
  EXPECT_THAT(problems(with("[\"10.1.0.2:2000\"]", "[]")),
              ElementsAre(HasSubstr("nobody would hear")));
  EXPECT_THAT(problems(with("    secret_file: /etc/fealty/legion.key\n", "")),
              ElementsAre(HasSubstr("secret_file is needed")));
  EXPECT_THAT(problems(with("\"ip_del: 10", "\"ip_add: 10")),
              ElementsAre(HasSubstr("for the lord hook")));
  EXPECT_THAT(problems(with("freq: 3s\n    tolerance: 15s",
                            "freq: 1s\n    tolerance: 2900ms")),
              ElementsAre(HasSubstr("tolerance of 3s or more")));
  EXPECT_THAT(problems(with("exec: /usr", "exce: /usr")),
              ElementsAre(HasSubstr("did you mean exec?")));
  EXPECT_THAT(problems(with("/24 dev eth0\", \"exec", "/99 dev eth0\", \"exec")),
              ElementsAre(HasSubstr("ADDRESS/PREFIX dev INTERFACE")));
  EXPECT_THAT(problems(with("wire: uwsgi", "wire: tls")),
              ElementsAre(HasSubstr("sealed")));
}

TEST(LegionConfig, SealedWireNeedsNoCipherAndTakesNoOther) {
  const std::string sealed = with("wire: uwsgi", "wire: sealed");
  EXPECT_THAT(problems(sealed), ElementsAre(HasSubstr("leave it out")));
  std::string text = sealed;
  text.erase(text.find("    cipher: aes-128-cbc\n"), 24);
  EXPECT_THAT(problems(text), testing::IsEmpty());
  EXPECT_THAT(problems(with("wire: uwsgi", "wire: sealed\n    accept_weaker: true")),
              testing::IsEmpty());
  EXPECT_THAT(problems(with("wire: uwsgi", "accept_weaker: true")),
              ElementsAre(HasSubstr("for wire: sealed")));
}

TEST(LegionConfig, MulticastNeedsNoNodes) {
  std::string text = with("\"10.1.0.1:2000\"", "\"225.1.1.1:2000\"\n    interface: eth0");
  text.replace(text.find("[\"10.1.0.2:2000\"]"), 17, "[]");
  EXPECT_THAT(problems(text), testing::IsEmpty());
  EXPECT_THAT(problems(with("valor: 98", "valor: 98\n    interface: eth0")),
              ElementsAre(HasSubstr("multicast")));
}

constexpr std::string_view kForwarder = R"(forwarder:
  listen: "unix:/run/subscribe/dgram"
  send_from: "10.1.0.1:3026"
  to: ["10.1.0.2:3022"]
  receive: "10.1.0.1:3022"
  deliver: "unix:/run/subscribe/http"
  secret_file: /etc/fealty/legion.key
)";

std::string forwarder_with(std::string_view from, std::string_view to) {
  std::string text(kForwarder);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(LegionConfig, DocumentedForwarderIsRead) {
  for (const std::string& text :
       {std::string(kSample) + std::string(kForwarder), std::string(kForwarder)}) {
    const auto loaded = parse_legion_config(text, "/etc/fealty/legion.yaml");
    ASSERT_TRUE(loaded) << loaded.error().front();
    const auto& forwarder = loaded->options.forwarder;
    ASSERT_TRUE(forwarder);
    EXPECT_EQ(forwarder->listen->to_string(), "/run/subscribe/dgram");
    EXPECT_EQ(forwarder->send_from->to_string(), "10.1.0.1:3026");
    ASSERT_EQ(forwarder->to.size(), 1U);
    EXPECT_EQ(forwarder->to[0].to_string(), "10.1.0.2:3022");
    EXPECT_EQ(forwarder->receive->to_string(), "10.1.0.1:3022");
    EXPECT_EQ(forwarder->deliver->to_string(), "/run/subscribe/http");
    EXPECT_THAT(forwarder->listen_users, ElementsAre("www-data"));
    EXPECT_EQ(forwarder->skew_tolerance_s, 60);
    const auto again =
        parse_legion_config(loaded->dump, "/etc/fealty/legion.yaml");
    ASSERT_TRUE(again) << again.error().front();
    EXPECT_EQ(again->options.forwarder->deliver->to_string(),
              "/run/subscribe/http");
  }
  const auto none = parse_legion_config(kSample, "f");
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->options.forwarder);
  EXPECT_THAT(none->dump, HasSubstr("forwarder: null"));
}

TEST(LegionConfig, HalfAForwarderIsEnough) {
  EXPECT_THAT(problems("forwarder: {listen: '/run/d', to: ['10.1.0.2:3022'], secret: x}"),
              testing::IsEmpty());
  EXPECT_THAT(problems("forwarder: {receive: '10.1.0.2:3022', deliver: '/run/h', secret: x}"),
              testing::IsEmpty());
}

TEST(LegionConfig, ForwardersMistakesAreTold) {
  const auto told = [](std::string_view from, std::string_view to) {
    return problems(forwarder_with(from, to));
  };
  EXPECT_THAT(told("  to: [\"10.1.0.2:3022\"]\n", ""),
              ElementsAre(HasSubstr("forwarder.to: `listen` is of no use")));
  EXPECT_THAT(told("  deliver: \"unix:/run/subscribe/http\"\n", ""),
              ElementsAre(HasSubstr("forwarder.deliver")));
  EXPECT_THAT(told("10.1.0.2:3022", "10.1.0.1:3022"),
              ElementsAre(HasSubstr("it holds `receive`")));
  EXPECT_THAT(told("10.1.0.2:3022", "[fd09::2]:3022"),
              ElementsAre(HasSubstr("of another kind than send_from")));
  EXPECT_THAT(told("subscribe/http", "subscribe/dgram"),
              ElementsAre(HasSubstr("it is `listen`")));
  EXPECT_THAT(told("receive: \"10.1.0.1:3022\"", "receive: \"unix:/run/x\""),
              ElementsAre(HasSubstr("members speak UDP")));
  EXPECT_THAT(told("  secret_file: /etc/fealty/legion.key\n", ""),
              ElementsAre(HasSubstr("either secret or secret_file")));
  EXPECT_THAT(told("  listen:", "  wire: uwsgi\n  listen:"),
              ElementsAre(HasSubstr("forwarders speak sealed only")));
  EXPECT_THAT(told("  listen:", "  cipher: aes-128-cbc\n  listen:"),
              ElementsAre(HasSubstr("aes-256-gcm only")));
  EXPECT_THAT(told("  listen:", "  lisen: x\n  listen:"),
              ElementsAre(HasSubstr("nearest valid key: 'listen'")));
  EXPECT_THAT(told("unix:/run/subscribe/dgram", "127.0.0.1:3023"),
              ElementsAre(HasSubstr("only a Unix socket")));
  EXPECT_THAT(told("unix:/run/subscribe/http", "127.0.0.1:2626"),
              ElementsAre(HasSubstr("only a Unix socket")));
  for (const std::string_view uid : {"4294967295", "99999999999999999999"}) {
    EXPECT_THAT(told("  listen:", "  listen_users: [\"" + std::string(uid) +
                                      "\"]\n  listen:"),
                ElementsAre(HasSubstr("listen_users: '" + std::string(uid))))
        << uid;
  }
  EXPECT_THAT(problems("forwarder: {secret: x}"),
              ElementsAre(HasSubstr("are needed")));
}

TEST(LegionConfig, FloatingAddressIsOneLegions) {
  std::string text(kSample);
  const std::size_t from = text.find("  - name");
  const std::size_t to = text.find("admin:");
  std::string second = text.substr(from, to - from);
  second.replace(second.find("cluster"), 7, "another");
  second.replace(second.find("10.1.0.1:2000"), 13, "10.1.0.1:2001");
  EXPECT_THAT(problems(text.insert(to, second)),
              ElementsAre(HasSubstr("belongs to the Legion 'cluster' already")));
}

TEST(LegionConfig, LordWhoseHookFailsIsDeadForThirtySecondsUnlessToldOtherwise) {
  const auto loaded =
      parse_legion_config(with("    death_on_lord_error: 30s\n", ""), "f");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->options.legions[0].election.death_on_lord_error_ms, 30'000);
}

TEST(LegionConfig, NamesAndAddressesAreOfOneLegionEach) {
  std::string text(kSample);
  const std::size_t from = text.find("  - name");
  const std::size_t to = text.find("admin:");
  text.insert(to, text.substr(from, to - from));
  EXPECT_THAT(problems(text), UnorderedElementsAre(HasSubstr("another Legion's"),
                                                   HasSubstr("taken already")));
}

}  // namespace
}  // namespace fealty::conf
