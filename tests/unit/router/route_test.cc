// Which pool a request is for: what of its path and port counts.

#include "router/route.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/router/routes.h"

namespace fealty::router {
namespace {

constexpr std::uint16_t kHttpPort = 80;

class RouteTest : public testing::Test {
 protected:
  void subscribe(const std::vector<std::string>& keys) {
    std::vector<subscription::PoolRef> pools;
    for (const auto& key : keys) pools.push_back(test::make_pool(key, {}));
    snapshot_ = test::make_snapshot(pools);
  }
  // The key that answers, "404" or "400".
  std::string at(const std::string& authority, const std::string& path = "/",
                 bool decoded = false) {
    http::Host host;
    EXPECT_TRUE(http::normalise_host(authority, host));
    std::string scratch(path.size(), '!');
    const Route route =
        find_route(*snapshot_, rules_, host, RoutePath(path, decoded), kHttpPort,
                   scratch);
    if (route.bad_path) return "400";
    return route.pool == nullptr ? "404" : std::string(route.pool->key());
  }

  RouteRules rules_;
  std::shared_ptr<const subscription::Snapshot> snapshot_;
};

TEST_F(RouteTest, PathDoesNotMatterWithoutMountpoints) {
  subscribe({"a.com", "a.com/x"});
  EXPECT_EQ(at("a.com", "/x"), "a.com");
  EXPECT_EQ(at("a.com", "/%"), "a.com");
}

class MountedRouteTest : public RouteTest {
 protected:
  MountedRouteTest() {
    rules_.mountpoints = 2;
    subscribe({"a.com", "a.com/admin", "a.com/b/c"});
  }
};

TEST_F(MountedRouteTest, LongestMountpointAnswers) {
  EXPECT_EQ(at("a.com", "/admin/users"), "a.com/admin");
  EXPECT_EQ(at("a.com", "/b/c/d"), "a.com/b/c");
  EXPECT_EQ(at("a.com", "/b/d"), "a.com");
  EXPECT_EQ(at("a.com", "*"), "a.com");
}

TEST_F(MountedRouteTest, NoSpellingSlipsPastAMountpoint) {
  for (const char* path :
       {"/./admin", "/x/../admin", "/../admin", "/admin/.", "/x/y/../../admin/z",
        "/%61dmin", "/ad%6Din/x", "/x/../%61dmin", "/b/./../admin",
        "/%61%64%6d%69%6e"}) {
    EXPECT_EQ(at("a.com", path), "a.com/admin") << path;
  }
  for (const char* path : {"/b%2fc", "/b%2Fc/d", "/b/x/../c"}) {
    EXPECT_EQ(at("a.com", path), "a.com/b/c") << path;
  }
}

TEST_F(MountedRouteTest, NoSpellingSlipsIntoAMountpoint) {
  for (const char* path :
       {"/admin/../x", "/admin/..", "/admin%3f/x", "/admin%23/x", "/admin%20",
        "/Admin", "/admin%2500", "//admin", "/%2561dmin"}) {
    EXPECT_EQ(at("a.com", path), "a.com") << path;
  }
}

// As PATH_INFO is made: dots go first, and what an escape says is no dot.
TEST_F(MountedRouteTest, EscapedDotsAreNoSegments) {
  EXPECT_EQ(at("a.com", "/admin/%2e%2e/x"), "a.com/admin");
  EXPECT_EQ(at("a.com", "/x/%2e%2e/admin"), "a.com");
}

TEST_F(MountedRouteTest, DecodedPathIsLookedUpAsItIs) {
  EXPECT_EQ(at("a.com", "/admin", true), "a.com/admin");
  for (const char* path : {"/%61dmin", "/x/../admin", "/%"}) {
    EXPECT_EQ(at("a.com", path, true), "a.com") << path;
  }
}

TEST_F(MountedRouteTest, BrokenEscapesAre400) {
  for (const char* path : {"/%", "/%zz", "/admin%00", "/x%4"}) {
    EXPECT_EQ(at("a.com", path), "400") << path;
  }
}

TEST_F(RouteTest, KeyWithPortWinsForThatPort) {
  subscribe({"a.com", "a.com:81"});
  EXPECT_EQ(at("a.com:81"), "a.com:81");
  EXPECT_EQ(at("a.com:82"), "a.com");
  EXPECT_EQ(at("a.com"), "a.com");
}

TEST_F(RouteTest, ExpectedPortIsTheSchemesWhereNoneIsNamed) {
  rules_.expect_port_in_key = true;
  rules_.mountpoints = 1;
  subscribe({"a.com", ".a.com", "a.com:80", "a.com:81", "a.com:80/x",
             "[::1]:80"});
  EXPECT_EQ(at("a.com"), "a.com:80");
  EXPECT_EQ(at("a.com", "/x/y"), "a.com:80/x");
  EXPECT_EQ(at("a.com:81", "/x"), "a.com:81");
  EXPECT_EQ(at("[::1]"), "[::1]:80");
  EXPECT_EQ(at("a.com:82"), "404");
  EXPECT_EQ(at("www.a.com"), "404");
}

}  // namespace
}  // namespace fealty::router
