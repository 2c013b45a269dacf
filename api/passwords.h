#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <semaphore>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace fealty::api {

// Passwords as argon2id hashes, 64 MiB each (libsodium's interactive limits), no
// more at a time than `at_a_time`; others wait for their turn.
//
// What was verified is remembered for kRememberMs, at most kRememberedMax of it,
// as a keyed hash of name, password and stored hash: a changed password counts at
// once, and neither this table nor anything else holds a password. Thread-safe.
class Passwords {
 public:
  static constexpr std::int64_t kRememberMs = 60'000;
  static constexpr std::size_t kRememberedMax = 4096;

  Passwords(std::ptrdiff_t at_a_time, const Clock& clock);

  [[nodiscard]] std::string hash(const std::string& password);
  // Whether this was verified a moment ago: costs nothing.
  [[nodiscard]] bool remembers(std::string_view name, std::string_view password,
                               std::string_view stored);
  // `stored` "": there is no such user; takes as long as a wrong password.
  [[nodiscard]] bool verify(std::string_view name, const std::string& password,
                            const std::string& stored);

 private:
  using Digest = std::array<unsigned char, 32>;
  [[nodiscard]] Digest digest_of(std::string_view name,
                                 std::string_view password,
                                 std::string_view stored) const;
  void remember(const Digest& digest);

  const Clock& clock_;
  std::counting_semaphore<64> turns_;
  Digest key_;
  std::string nobodys_;             // the hash of nobody's password
  std::mutex mutex_;
  std::map<Digest, std::int64_t> until_ms_;
};

// Without telling by its duration where they differ.
[[nodiscard]] bool equals_in_constant_time(std::string_view one,
                                           std::string_view other);

}  // namespace fealty::api
