#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "sni/secret.h"

namespace fealty::sni {

// A key that seals tickets: AES-256-CBC, then HMAC-SHA-256. Wiped at the end.
struct TicketKey {
  static constexpr std::size_t kNameBytes = 16;
  static constexpr std::size_t kSecretBytes = 32;
  static constexpr std::size_t kBytes = kNameBytes + 2 * kSecretBytes;

  std::array<unsigned char, kNameBytes> name{};
  std::array<unsigned char, kSecretBytes> cipher{};
  std::array<unsigned char, kSecretBytes> mac{};

  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();
};

// The keys that count at one time, newest first: the first seals, all open.
// Immutable, shared by all workers; any thread.
class TicketKeys {
 public:
  static constexpr std::size_t kKeysMax = 3;

  explicit TicketKeys(std::vector<TicketKey> keys) : keys_(std::move(keys)) {}

  [[nodiscard]] const std::vector<TicketKey>& keys() const { return keys_; }
  // What SSL_CTX_set_tlsext_ticket_key_evp_cb asks for: 1 done, 2 done and to be
  // renewed, 0 no such key, -1 out of memory.
  [[nodiscard]] int seal(unsigned char* name, unsigned char* iv,
                         EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const;
  [[nodiscard]] int open(const unsigned char* name, const unsigned char* iv,
                         EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const;

 private:
  std::vector<TicketKey> keys_;
};

using TicketKeysPtr = std::shared_ptr<const TicketKeys>;

// Keeps the keys and makes new ones in time: what a key sealed can be opened for
// two times rotate_s at least, and three times that at most. Control thread
// only.
//
// With a shared secret the keys are those of the epoch, the whole rotate_s of the
// wall clock since 1970: HKDF of the secret with the info "tickets 1 ROTATE_S
// EPOCH". The epoch's own seals; those of the epochs before and after it open too,
// so that servers whose clocks differ, by less than rotate_s, take each other's
// tickets, which last for rotate_s.
class TicketKeyRing {
 public:
  // Makes the first key.
  TicketKeyRing(std::int64_t rotate_s, std::int64_t now_s);

  // What the workers are to have; published again whenever it is another.
  [[nodiscard]] const TicketKeysPtr& current() const { return current_; }
  // True where a new key was made. Keys from outside stay as they are.
  bool rotate_if_due(std::int64_t now_s);

  // Keys from outside (options.h: one to three records): true where they are of
  // the right form and other than those in place. What was there still opens,
  // as far as there is room.
  bool set(std::span<const unsigned char> records, std::int64_t now_s);
  [[nodiscard]] static bool may_set(std::span<const unsigned char> records);
  // The keys are those of the secret from now on; true where they are others than
  // before.
  bool derive_from(std::string_view secret, std::int64_t now_s);
  [[nodiscard]] bool derives() const { return !secret_.empty(); }
  // No keys come from outside any more: new ones are made in time. True where one
  // was made at once: what a secret gave counts no longer, since it may have been
  // given up because others know it.
  bool make_own(std::int64_t now_s);
  void set_rotation(std::int64_t rotate_s) { rotate_s_ = rotate_s; }

  // For a successor (reload, upgrade) whose clients are to come back: all of
  // the ring. restore() is false, and changes nothing, where the bytes are none
  // of save()'s.
  [[nodiscard]] SecretBytes save() const;
  [[nodiscard]] bool restore(std::span<const unsigned char> saved);

 private:
  void publish(std::vector<TicketKey> keys);
  [[nodiscard]] std::vector<TicketKey> derived(std::int64_t now_s) const;
  // Publishes `keys` and behind them those of now that are not among them, unless
  // they are in place.
  bool put_first(std::vector<TicketKey> keys);

  std::int64_t rotate_s_;
  std::int64_t made_s_;
  bool from_outside_ = false;
  SecretBytes secret_;                   // empty: keys are not derived
  TicketKeysPtr current_;
};

}  // namespace fealty::sni
