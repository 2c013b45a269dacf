#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "api/turns.h"
#include "base/clock.h"

namespace fealty::api {

// Passwords as argon2id hashes, 64 MiB each (libsodium's interactive limits), no
// more at a time than `at_a_time`; few others wait for their turn (turns.h). Who
// asks what is being found out already waits for that, and costs no more.
//
// What was verified is remembered for kRememberMs, at most kRememberedMax of it,
// as a keyed hash of name, password and stored hash: a changed password counts at
// once, and neither this table nor anything else holds a password. Thread-safe.
class Passwords {
 public:
  static constexpr std::int64_t kRememberMs = 60'000;
  static constexpr std::size_t kRememberedMax = 4096;

  enum class Verdict : std::uint8_t {
    kRight,
    kWrong,
    kRefused,                       // `may_try` said so
    kBusy,                          // no turn: too many wait
  };

  Passwords(std::size_t at_a_time, const Clock& clock);

  // Nothing where too many wait.
  [[nodiscard]] std::optional<std::string> hash(const std::string& password);
  // Whether this was verified a moment ago: costs nothing.
  [[nodiscard]] bool remembers(std::string_view name, std::string_view password,
                               std::string_view stored);
  // `stored` "": there is no such user; takes as long as a wrong password.
  // `may_try` is asked once it is this one's turn.
  [[nodiscard]] Verdict verify(std::string_view name,
                               const std::string& password,
                               const std::string& stored,
                               const std::function<bool()>& may_try);

 private:
  using Digest = std::array<unsigned char, 32>;
  [[nodiscard]] Digest digest_of(std::string_view name,
                                 std::string_view password,
                                 std::string_view stored) const;
  // With mutex_ locked.
  [[nodiscard]] bool remembers(const Digest& digest) const;
  void remember(const Digest& digest);
  [[nodiscard]] Verdict find_out(const std::string& password,
                                 const std::string& stored,
                                 const std::function<bool()>& may_try);

  const Clock& clock_;
  Turns turns_;
  Digest key_;
  std::string nobodys_;             // the hash of nobody's password
  std::mutex mutex_;
  std::map<Digest, std::int64_t> until_ms_;
  std::map<Digest, std::shared_future<Verdict>> under_way_;
};

// Without telling by its duration where they differ.
[[nodiscard]] bool equals_in_constant_time(std::string_view one,
                                           std::string_view other);

}  // namespace fealty::api
