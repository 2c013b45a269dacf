#include "base/mailbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>

namespace fealty {
namespace {

// Takes what comes until `last` came.
class LastReceiver {
 public:
  LastReceiver(Loop& loop, int last) : loop_(loop), last_(last) {
    mailbox.open<&LastReceiver::on_mail>(loop, this);
  }
  void on_mail() {
    auto mail = mailbox.take();
    if (!mail) return;
    EXPECT_GT(**mail, latest) << "an older post came after a newer one";
    latest = **mail;
    ++taken;
    if (latest == last_) loop_.stop();
  }
  Mailbox<std::shared_ptr<const int>> mailbox;
  int latest = -1;
  int taken = 0;

 private:
  Loop& loop_;
  int last_;
};

TEST(Mailbox, LatestPostWinsAndNoneIsLostAtTheEnd) {
  constexpr int kPosts = 20'000;
  Loop loop;
  LastReceiver receiver(loop, kPosts - 1);
  std::thread poster([&] {
    for (int i = 0; i < kPosts; ++i) {
      receiver.mailbox.post(std::make_shared<const int>(i));
    }
  });
  loop.run();
  poster.join();
  EXPECT_EQ(receiver.latest, kPosts - 1);
  EXPECT_LE(receiver.taken, kPosts);
}

TEST(Mailbox, TakeOfAnEmptyBoxIsEmpty) {
  Loop loop;
  LastReceiver receiver(loop, 0);
  EXPECT_FALSE(receiver.mailbox.take());
  receiver.mailbox.post(std::make_shared<const int>(0));
  EXPECT_TRUE(receiver.mailbox.take());
  EXPECT_FALSE(receiver.mailbox.take());
}

// Its destruction posts to the box that it was in: a lock held meanwhile would
// never come free.
struct PostsWhenItDies {
  Mailbox<std::unique_ptr<PostsWhenItDies>>* box = nullptr;
  ~PostsWhenItDies() {
    if (box != nullptr) box->post(nullptr);
  }
};
struct Silent {
  void on_mail() {}
};

TEST(Mailbox, ReplacedPostDiesOutsideTheLock) {
  Loop loop;
  Silent owner;
  Mailbox<std::unique_ptr<PostsWhenItDies>> box;
  box.open<&Silent::on_mail>(loop, &owner);
  auto first = std::make_unique<PostsWhenItDies>();
  first->box = &box;
  box.post(std::move(first));
  box.post(std::make_unique<PostsWhenItDies>());
  const auto mail = box.take();
  ASSERT_TRUE(mail);
  EXPECT_EQ(*mail, nullptr);
}

}  // namespace
}  // namespace fealty
