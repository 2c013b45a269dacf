#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sni/openssl.h"

namespace fealty::sni {

// Why a handshake came to nothing.
enum class Failure : std::uint8_t {
  kClosed,               // the client went away
  kTimeout,              // the caller's deadline
  kNotTls,               // what came is no TLS
  kNothingInCommon,      // no version, cipher suite, group or protocol
  kClientCertificate,    // demanded and not there, or not accepted
  kClientAlert,          // the client said no: mostly to our certificate
  kProtocol,             // anything else that broke the rules
  kInternal,             // ours: memory, a key that does not sign
};
inline constexpr std::size_t kFailures =
    static_cast<std::size_t>(Failure::kInternal) + 1;

// As a metric's label: "client_certificate".
[[nodiscard]] std::string_view name_of(Failure why);

// Of the handshake that just failed with `ssl_error` (SSL_get_error's); takes
// what OpenSSL noted of it.
[[nodiscard]] Failure take_failure(int ssl_error);

// What a worker's handshakes came to. Written by it alone, read by any thread.
struct Counters {
  std::atomic<std::uint64_t> full{0};
  std::atomic<std::uint64_t> resumed{0};
  std::array<std::atomic<std::uint64_t>, kFailures> failures{};

  void count_failure(Failure why) {
    add(failures[static_cast<std::size_t>(why)]);
  }
  static void add(std::atomic<std::uint64_t>& counter) {
    counter.store(counter.load(std::memory_order_relaxed) + 1,
                  std::memory_order_relaxed);
  }
};

}  // namespace fealty::sni
