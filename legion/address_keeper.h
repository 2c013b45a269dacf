#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "legion/floating_address.h"

namespace fealty::legion {

// Holds a Legion's addresses for as long as the Lord's lease says: each is in
// the kernel with a lifetime of whole seconds that ends before the lease does,
// and is renewed from a thread of its own. Without renewals (the process hangs,
// is stopped or killed) the kernel takes it away. The neighbours are told when an
// address comes, a few times more in the next seconds (kTell_ms), and now and
// then afterwards.
//
// Thread-safe. add() and remove() wait for the kernel: not on the loop.
class AddressKeeper {
 public:
  AddressKeeper(const Clock& clock, std::int64_t tolerance_ms);
  ~AddressKeeper();
  AddressKeeper(const AddressKeeper&) = delete;
  AddressKeeper& operator=(const AddressKeeper&) = delete;

  // Ours from now on; fails where the kernel refuses it, or no lease is left.
  [[nodiscard]] Status add(const FloatingAddress& address);
  [[nodiscard]] Status remove(const FloatingAddress& address);
  // All that add() added and nobody removed.
  void remove_all();

  // Until when the addresses may be held, by the clock. The loop says it again
  // and again; never blocks for longer than a renewal's bookkeeping.
  void set_lease(std::int64_t until_ms);
  // Somebody else held them too: the neighbours are told anew.
  void tell_again();
  // Never waits for the kernel.
  [[nodiscard]] std::vector<FloatingAddress> held() const;

 private:
  struct Held {
    FloatingAddress address;
    std::int64_t told_since_ms;    // when telling began
    std::size_t told = 0;          // how often since then
    std::int64_t renewed_ms;
  };

  void run();
  void show();
  void renew(std::int64_t now_ms);
  void tell(std::int64_t now_ms);
  [[nodiscard]] std::uint32_t valid_s(std::int64_t now_ms) const;

  const Clock& clock_;
  const std::int64_t tolerance_ms_;
  // Held while the kernel is asked: what is removed is not renewed afterwards.
  std::mutex kernel_;
  std::vector<Held> held_;
  mutable std::mutex mutex_;       // the rest
  std::condition_variable wake_;
  std::int64_t until_ms_ = 0;
  std::vector<FloatingAddress> shown_;     // held_'s
  bool tell_again_ = false;
  bool ended_ = false;
  std::thread thread_;             // the last member: it starts at once
};

}  // namespace fealty::legion
