#include "api/route.h"

#include <gtest/gtest.h>

#include <set>

#include "api/resources/resources.h"

namespace fealty::api {
namespace {

Match find(std::string_view method, std::string_view path,
           Entrance entrance = Entrance::kPublic) {
  static const Routes routes = all_routes();
  return find_route(routes, method, path, entrance);
}

TEST(FindRoute, TakesPathsWithAndWithoutATrailingSlash) {
  for (const char* path : {"/me", "/me/", "/containers/30001/", "/private/domains/rsa/"}) {
    EXPECT_NE(find("GET", path).route, nullptr) << path;
  }
  for (const char* path : {"", "me", "/", "//me", "/me//", "/containers/x",
                           "/containers/", "/containers/1/2",
                           "/containers/9999999999999", "/containers/-1"}) {
    const bool is_list = std::string_view(path) == "/containers/";
    EXPECT_EQ(find("GET", path).route != nullptr, is_list) << path;
  }
}

TEST(FindRoute, HandsOverWhatThePatternStandsFor) {
  EXPECT_EQ(find("GET", "/containers/30009").parts,
            std::vector<std::string>{"30009"});
  EXPECT_EQ(find("GET", "/metrics/container.io.read/30009").parts,
            (std::vector<std::string>{"container.io.read", "30009"}));
  EXPECT_EQ(find("GET", "/private/containers/30009.ini").parts,
            std::vector<std::string>{"30009"});
  EXPECT_EQ(find("GET", "/private/containers/.ini").route, nullptr);
}

TEST(FindRoute, TellsAnUnknownMethodFromAnUnknownPath) {
  EXPECT_TRUE(find("PUT", "/me").path_known);
  EXPECT_EQ(find("PUT", "/me").allowed, "GET, POST");
  EXPECT_FALSE(find("GET", "/nothing").path_known);
}

TEST(FindRoute, AdministrationHasAnEntranceOfItsOwn) {
  EXPECT_FALSE(find("GET", "/admin/customers").path_known);
  EXPECT_TRUE(find("GET", "/admin/customers", Entrance::kAdmin).path_known);
  EXPECT_FALSE(find("GET", "/me", Entrance::kAdmin).path_known);
}

TEST(AllRoutes, EachIsThereOnceAndEverySchemaHasANameOfItsOwn) {
  std::set<std::string> seen;
  std::map<std::string_view, const Schema*> schemas;
  for (const Route& route : all_routes()) {
    EXPECT_TRUE(seen.insert(std::string(route.method) + " " +
                            std::string(route.pattern)).second)
        << route.pattern;
    EXPECT_EQ(route.mode == Mode::kRead, route.method == "GET") << route.pattern;
    if (route.schema == nullptr) continue;
    const auto [at, is_new] = schemas.emplace(route.schema->name, route.schema);
    EXPECT_EQ(at->second, route.schema) << route.schema->name;
  }
}

TEST(AllRoutes, PrivateOnesAreForServersAndAdminOnesForTheAdministrator) {
  for (const Route& route : all_routes()) {
    EXPECT_EQ(route.access == Access::kServer,
              route.pattern.starts_with("/private/")) << route.pattern;
    EXPECT_EQ(route.access == Access::kAdmin,
              route.pattern.starts_with("/admin/")) << route.pattern;
  }
}

}  // namespace
}  // namespace fealty::api
