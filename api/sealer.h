#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::api {

// Secrets at rest: XChaCha20-Poly1305 under the key of the key file, base64.
// `purpose` (purpose_of) is authenticated as well, so that a sealed value opens in
// no other column, and in no other row. Thread-safe.
class Sealer {
 public:
  static constexpr std::size_t kKeyBytes = 32;
  using Key = std::array<unsigned char, kKeyBytes>;

  explicit Sealer(const Key& key) : key_(key) {}
  ~Sealer();
  Sealer(const Sealer&) = default;
  Sealer& operator=(const Sealer&) = default;

  // The key file's digits; nothing where they are none.
  [[nodiscard]] static std::optional<Sealer> of_digits(std::string_view digits);
  [[nodiscard]] std::string digits() const;

  // "" stays "": what is not set need not be hidden.
  [[nodiscard]] std::string seal(std::string_view secret,
                                 std::string_view purpose) const;
  // Fails where the key is another, or the value was changed or moved.
  [[nodiscard]] Result<std::string> open(const std::string& sealed,
                                         std::string_view purpose) const;
  // A keyed hash, in hexadecimal digits: tells whether two texts are the same to
  // who has the key alone.
  [[nodiscard]] std::string mark(std::string_view text,
                                 std::string_view purpose) const;

 private:
  Key key_;
};

// "containers.jid_secret of UUID": what a value was sealed for, by its column and
// its row's uuid, which never changes.
[[nodiscard]] std::string purpose_of(std::string_view table,
                                     std::string_view column,
                                     std::string_view uuid);

// The key file: 64 hexadecimal digits, readable by its owner alone.
[[nodiscard]] Result<Sealer> load_sealer(const std::string& path);
// Makes it, mode 0600; fails where anything is there.
[[nodiscard]] Status make_key_file(const std::string& path);

}  // namespace fealty::api
