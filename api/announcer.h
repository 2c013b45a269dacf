#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "api/options.h"
#include "base/address.h"
#include "base/fd.h"
#include "base/loop.h"

namespace fealty::api {

// Keeps a `fealty subscribe` running that announces the API, the program beside
// this one. It ends with us, however we end, and is started again, after a
// while, where it ends by itself. One loop, one thread: the one that started it.
class Announcer {
 public:
  Announcer(Loop& loop, const SubscribeOptions& options,
            const Address& address);
  ~Announcer();
  Announcer(const Announcer&) = delete;
  Announcer& operator=(const Announcer&) = delete;

  void start();
  // Unsubscribes; waits for it, but no longer than kStopMs.
  void stop();
  // Ends without a word to the routers: a successor announces the same.
  void leave();

  static constexpr int kStopMs = 5'000;

 private:
  void on_exit(int events);
  void on_retry();
  void reap();

  std::vector<std::string> arguments_;
  pid_t pid_ = -1;
  UniqueFd process_;                // a pidfd
  IoWatcher exit_;
  TimerWatcher retry_;
};

}  // namespace fealty::api
