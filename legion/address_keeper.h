#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "legion/floating_address.h"
#include "legion/interfaces.h"

namespace fealty::legion {

// Holds a Legion's addresses for as long as the Lord's lease says, from a thread of
// its own. Each is in the kernel with a lifetime of whole seconds that ends at most
// the lease's `outlive_ms` after it; it is renewed as soon as that is worth it,
// shortened where the lease is, taken away before the lease ends, and tried again
// where the kernel refused it. Without renewals (the process is stopped or was killed)
// the kernel takes it away: until then whoever listens on the host goes on to be
// reached, and with an `outlive_ms` that is as long as an election the next Lord has it
// by then (docs/decisions/0024). The neighbours are told when an address comes, often
// in the next seconds, and now and then afterwards.
//
// An address of the same name that is there for ever is somebody else's: it is
// neither taken nor removed.
//
// Thread-safe. What asks the kernel waits for it, so not on the loop: hold() and all
// that removes. `clock` and `interfaces` live longer.
class AddressKeeper {
 public:
  AddressKeeper(const Clock& clock, Interfaces& interfaces,
                std::int64_t tolerance_ms);
  ~AddressKeeper();
  AddressKeeper(const AddressKeeper&) = delete;
  AddressKeeper& operator=(const AddressKeeper&) = delete;

  // What is to be held from now on, while a lease lasts; whatever else is held is
  // given back. Never waits for the kernel.
  void want(std::vector<FloatingAddress> addresses);
  // Whether a wanted address is held; where it is not yet, the kernel is asked.
  [[nodiscard]] Status hold(const FloatingAddress& address);
  // Not wanted from now on, and taken away, whoever added it.
  [[nodiscard]] Status remove(const FloatingAddress& address);
  // Taken away where a former process of this host left it and the kernel would keep it
  // for longer than it keeps ours without us.
  [[nodiscard]] Status remove_stale(const FloatingAddress& address);
  // Nothing is wanted, and nothing held when it returns; but what the kernel refuses to
  // remove, which is tried again.
  void remove_all();

  // Until when the addresses may be held, by the clock, and for how much longer by the
  // kernel alone. The loop says it again and again; never waits for the kernel.
  void set_lease(std::int64_t until_ms, std::int64_t outlive_ms);
  // Somebody else held them too: the neighbours are told anew.
  void tell_again();
  // Never waits for the kernel.
  [[nodiscard]] std::vector<FloatingAddress> held() const;

 private:
  static constexpr std::int64_t kNever = INT64_MIN / 2;
  struct Lease {
    std::int64_t until_ms = kNever;
    std::int64_t outlive_ms = 0;
  };
  struct Wanted {
    FloatingAddress address;
    bool wanted = true;                 // false: the kernel refuses to remove it
    std::int64_t asked_ms = kNever;     // when the kernel was asked last
    std::int64_t refused_ms = kNever;   // when it refused to remove it
    std::int64_t end_ms = kNever;       // when the kernel takes it away; kNever: not held
    std::int64_t told_since_ms = 0;     // when telling began
    std::int64_t tell_at_ms = 0;        // when the neighbours are told next
    std::string problem{};              // that was logged last
    std::string tell_problem{};

    [[nodiscard]] bool held() const { return end_ms != kNever; }
  };

  void run();
  void adopt();
  void show();
  void forget_unwanted();
  void release(Wanted& own);
  void keep(Wanted& own);
  [[nodiscard]] Status ask(Wanted& own);
  Status give_back(Wanted& own);
  Status remove_adopted(const FloatingAddress& address);
  static void begin_to_tell(Wanted& own, std::int64_t since_ms);
  void tell(Wanted& own);
  [[nodiscard]] Wanted* find(const FloatingAddress& address);
  [[nodiscard]] Lease lease() const;
  [[nodiscard]] std::uint32_t valid_s(const Lease& lease, std::int64_t now_ms) const;

  const Clock& clock_;
  Interfaces& interfaces_;
  const std::int64_t tolerance_ms_;
  // Held while the kernel is asked: what is removed is not renewed afterwards. Taken
  // before the other one.
  std::mutex kernel_;
  std::vector<Wanted> wanted_;
  mutable std::mutex mutex_;       // the rest
  std::condition_variable wake_;
  std::optional<std::vector<FloatingAddress>> next_;   // what want() said
  Lease lease_;
  std::vector<FloatingAddress> shown_;     // what of wanted_ is held
  bool tell_again_ = false;
  bool changed_ = false;           // the thread has something to do
  bool ended_ = false;
  std::thread thread_;             // the last member: it starts at once
};

}  // namespace fealty::legion
