#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sni/identity.h"
#include "sni/openssl.h"
#include "sni/options.h"
#include "sni/snapshot.h"
#include "sni/ticket_keys.h"

namespace fealty::sni {

// What the handshakes of a worker read. It adopts new ones between two turns of
// its loop; connections see them in their next handshake.
struct View {
  SnapshotPtr identities;                // never null
  TicketKeysPtr tickets;                 // null: no tickets
  const Clock* clock = nullptr;          // whose unix_s() any thread may call
};

// The TLS settings of a listener, in one SSL_CTX that all workers share:
//
//   * TLS 1.2 and 1.3, or 1.3 alone; suites with forward secrecy and an AEAD;
//     no renegotiation, no compression, no early data.
//   * ALPN: http/1.1. A client that speaks only other protocols is refused, so
//     that nobody makes one answer for another.
//   * Sessions live in tickets only, which are bound to the identity that they
//     were made under (Identity::binding). The ClientHello callback, which
//     OpenSSL calls before it looks at any ticket, session id or PSK, picks the
//     identity by the name that this ClientHello asks for and sets its binding:
//     a session of another identity, or of the same before its client policy
//     changed, is then not resumed, in TLS 1.2 and 1.3 alike.
//   * A session that holds a client's certificate is not resumed once that
//     certificate has expired, or kClientAgeMax_s after it was last verified in
//     full.
//   * Who names nobody, or somebody unknown, is served `fallback`. Nothing is
//     kept of such names.
//
// Made by the control thread, immutable; any thread opens connections with it.
class Context {
 public:
  static constexpr std::int64_t kClientAgeMax_s = 24 * 3600;

  [[nodiscard]] static Result<std::shared_ptr<const Context>> make(
      const Options& options, IdentityRef fallback);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  [[nodiscard]] const Identity& fallback() const { return *fallback_; }
  [[nodiscard]] SSL_CTX* get() const { return context_.get(); }

 private:
  explicit Context(IdentityRef fallback) : fallback_(std::move(fallback)) {}
  [[nodiscard]] Status set_up(const Options& options);
  void set_up_sessions(const Options& options);

  IdentityRef fallback_;
  SslContextPtr context_;
};

}  // namespace fealty::sni
