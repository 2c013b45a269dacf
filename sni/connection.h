#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sni/context.h"
#include "sni/failure.h"
#include "sni/identity.h"
#include "sni/openssl.h"

namespace fealty::sni {

// A client's TLS connection from its first byte on: the SSL, and what the
// handshake settled. The bytes' way (socket or memory) is the owner's business:
// he sets ssl()'s BIOs, and reads and writes through it once the handshake is
// done. One thread; stays where it is, for the SSL points at it. `view` must
// outlive what open() began.
class Connection {
 public:
  enum class Progress : std::uint8_t { kDone, kRead, kWrite, kFailed };

  Connection() = default;
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // False where memory ran out.
  [[nodiscard]] bool open(const Context& context, const View& view);
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

  // Goes on with the handshake as far as bytes are there; counts how it ended.
  // kRead, kWrite: what to wait for. After kFailed, failure() says why, and
  // there is nothing more to be said to the client.
  [[nodiscard]] Progress handshake(Counters& counters);
  [[nodiscard]] Failure failure() const { return failure_; }

  // Once the handshake is done:
  // the identity that it was made under, whatever became of it since;
  [[nodiscard]] const Identity& identity() const { return *identity_; }
  [[nodiscard]] bool resumed() const {
    return SSL_session_reused(ssl_.get()) == 1;
  }
  // the client's certificate, verified by that identity's policy, now or when
  // the session was made; null where there is none. Lives as long as the SSL.
  [[nodiscard]] X509* client() const;

  // Data came, or the handshake is done: what is no data may come again.
  void on_data() { records_without_data_ = 0; }
  // False where so many records came one after the other without a byte of data
  // (key updates, attempts to renegotiate, alerts) that it is a flood: each
  // costs as much as a request's.
  [[nodiscard]] bool orderly() const {
    return records_without_data_ <= kRecordsWithoutDataMost;
  }

  void close();

  // For the context's callbacks.
  [[nodiscard]] static Connection& of(const SSL* ssl);
  [[nodiscard]] bool choose_identity();
  [[nodiscard]] const View& view() const { return *view_; }
  void count_record() { ++records_without_data_; }

 private:
  // A record of data counts until its bytes are read, too.
  static constexpr std::uint32_t kRecordsWithoutDataMost = 32;

  const Context* context_ = nullptr;
  const View* view_ = nullptr;
  IdentityRef identity_;
  SslPtr ssl_;
  Failure failure_ = Failure::kClosed;
  std::uint32_t records_without_data_ = 0;
};

}  // namespace fealty::sni
