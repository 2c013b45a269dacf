#include "conf/api_config.h"

#include <gtest/gtest.h>

namespace fealty::conf {
namespace {

constexpr const char* kLeast =
    "listen: 127.0.0.1:8090\nadmin_listen: unix:/run/a.sock\n"
    "database: sqlite:///var/lib/api.db\nsecrets_key_file: api.key\n";

std::string problem(const std::string& text) {
  const auto loaded = parse_api_config(text, "/etc/fealty/api.yaml");
  return loaded ? "" : loaded.error().front();
}

TEST(ApiConfig, SampleIsFine) {
  const auto loaded =
      load_api_config(std::string(FEALTY_CONF_FOLDER) + "/api.yaml");
  ASSERT_TRUE(loaded) << loaded.error().front();
  EXPECT_EQ(loaded->options.limits.threads, 32U);
  EXPECT_TRUE(loaded->options.subscribe.server.empty());
}

TEST(ApiConfig, DumpReadsBack) {
  const auto loaded = parse_api_config(kLeast, "/etc/fealty/api.yaml");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->options.secrets_key_file, "/etc/fealty/api.key");
  const auto again = parse_api_config(loaded->dump, "/etc/fealty/api.yaml");
  ASSERT_TRUE(again) << again.error().front();
  EXPECT_EQ(again->options.listen.to_string(), "127.0.0.1:8090");
}

TEST(ApiConfig, TakesTheAnnouncementOfTheApi) {
  const auto loaded = parse_api_config(
      std::string(kLeast) + "subscribe: {server: \"unix:/run/subscribe/http\", "
                            "key: api.example.com, sign: \"SHA1:/etc/k\"}\n"
                            "dns: {servers: [\"9.9.9.9\", \"127.0.0.1:54\"]}\n",
      "/etc/fealty/api.yaml");
  ASSERT_TRUE(loaded) << loaded.error().front();
  EXPECT_EQ(loaded->options.subscribe.key, "api.example.com");
  EXPECT_EQ(loaded->options.dns.servers.at(0).to_string(), "9.9.9.9:53");
}

TEST(ApiConfig, DomainIsThatOfTheAnnouncementUnlessItIsGiven) {
  const std::string announced = std::string(kLeast) +
                                "subscribe: {server: a, key: api.example.com}\n";
  const auto domain = [](const std::string& text) {
    return parse_api_config(text, "/a").value().options.domain;
  };
  EXPECT_EQ(domain(kLeast), "");
  EXPECT_EQ(domain(announced), "api.example.com");
  EXPECT_EQ(domain(announced + "domain: other.example\n"), "other.example");
}

TEST(ApiConfig, SaysWhatIsWrong) {
  const std::string least = kLeast;
  EXPECT_NE(problem("").find("map"), std::string::npos);
  EXPECT_NE(problem("listen: 127.0.0.1:1").find("needed"), std::string::npos);
  const char* const wrong[][2] = {
      {"listn: 1", "listen"},
      {"allow_origin: [1]", "allow_origin"},
      {"dns: {servers: [name.example]}", "numeric"},
      {"dns: {port: 0}", "port"},
      {"subscribe: {key: a}", "server"},
      {"limits: {threads: 1}", "threads"},
      {"domain: \"http://x\"", "domain"},
      {"domain: a b", "domain"},
      {"trusted_proxies: [x]", "trusted_proxies"}};
  for (const auto& [text, expected] : wrong) {
    EXPECT_NE(problem(least + text).find(expected), std::string::npos) << text;
  }
}

TEST(ApiConfig, AdministrationIsLocal) {
  for (const char* address : {"0.0.0.0:1", "10.0.0.1:80", "[::]:1"}) {
    EXPECT_NE(problem("listen: 127.0.0.1:8090\nadmin_listen: \"" +
                      std::string(address) +
                      "\"\ndatabase: sqlite:///a\nsecrets_key_file: k\n")
                  .find("loopback"),
              std::string::npos);
  }
}

TEST(ApiConfig, AdministrationHasAListenerOfItsOwn) {
  EXPECT_NE(problem("listen: 127.0.0.1:8090\nadmin_listen: 127.0.0.1:8090\n"
                    "database: sqlite:///a\nsecrets_key_file: k\n")
                .find("another than `listen`"),
            std::string::npos);
}

TEST(ApiConfig, DatabaseIsOneOfTwoAndWithoutAPassword) {
  const auto with = [](const char* url) {
    return problem("listen: 127.0.0.1:8090\nadmin_listen: 127.0.0.1:8091\n"
                   "secrets_key_file: k\ndatabase: \"" + std::string(url) + "\"\n");
  };
  EXPECT_EQ(with("postgresql://fealty@db.example/fealty"), "");
  EXPECT_EQ(with("postgresql://fealty@/fealty?passfile=/etc/fealty/pgpass"), "");
  for (const char* url : {"mysql://x", "sqlite://x", "postgresql://u:p@h/n",
                          "postgresql://u@h/n?password=p",
                          "postgresql://h/n?a=b&sslpassword=p",
                          "postgresql://h/n?p%61ssword=p"}) {
    EXPECT_NE(with(url), "") << url;
  }
}

}  // namespace
}  // namespace fealty::conf
