#include "router/node_connect.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "base/fd.h"

namespace fealty::router {
namespace {

// Two folders, in and out, with a listening socket in each.
class NodeConnectTest : public testing::Test {
 protected:
  NodeConnectTest() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fealty-test-XXXXXX")
            .string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    std::filesystem::create_directory(root_ + "/in");
    std::filesystem::create_directory(root_ + "/out");
    inside_ = listen_at("/in/app.sock");
    outside_ = listen_at("/out/adm.sock");
  }
  ~NodeConnectTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  UniqueFd listen_at(const std::string& name) {
    const auto address = Address::parse(root_ + name);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(fd.get(), address->data(), address->length()), 0);
    EXPECT_EQ(::listen(fd.get(), 8), 0);
    return fd;
  }
  void link(const std::string& to, const std::string& name) {
    std::filesystem::create_symlink(to, root_ + name);
  }
  int connect(const std::string& name) {
    const UniqueFd fd(
        ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    return connect_node(fd.get(), *Address::parse(root_ + name), prefixes_);
  }

  std::string root_;
  UniqueFd inside_;
  UniqueFd outside_;
  std::vector<std::string> prefixes_;
};

TEST_F(NodeConnectTest, LinkLeadsAnywhereWhereEveryPathIsAllowed) {
  link("../out/adm.sock", "/in/link.sock");
  EXPECT_EQ(connect("/in/link.sock"), 0);
}

TEST_F(NodeConnectTest, LinkDoesNotLeadOutOfThePrefix) {
  prefixes_ = {"/absent", root_ + "/in/"};
  link(root_ + "/out/adm.sock", "/in/absolute.sock");
  link("../out/adm.sock", "/in/climbing.sock");
  link("../out", "/in/dir");
  link("app.sock", "/in/own.sock");
  EXPECT_EQ(connect("/in/app.sock"), 0);
  EXPECT_EQ(connect("/in/own.sock"), 0);
  EXPECT_EQ(connect("/in/absolute.sock"), EXDEV);
  EXPECT_EQ(connect("/in/climbing.sock"), EXDEV);
  EXPECT_EQ(connect("/in/dir/adm.sock"), EXDEV);
  EXPECT_EQ(connect("/in/absent.sock"), ENOENT);
}

TEST_F(NodeConnectTest, PathOutsideEveryPrefixIsTheConfigurations) {
  prefixes_ = {root_ + "/in"};
  EXPECT_EQ(connect("/out/adm.sock"), 0);
}

TEST_F(NodeConnectTest, SocketThatIsGoneRefuses) {
  prefixes_ = {root_ + "/in"};
  inside_.reset();
  EXPECT_EQ(connect("/in/app.sock"), ECONNREFUSED);
}

TEST_F(NodeConnectTest, PrefixMayBeTheSocketItself) {
  prefixes_ = {root_ + "/in/app.sock"};
  EXPECT_EQ(connect("/in/app.sock"), 0);
}

}  // namespace
}  // namespace fealty::router
