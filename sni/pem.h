#pragma once

#include <cstddef>
#include <string_view>

#include "sni/secret.h"

namespace fealty::sni {

inline constexpr std::size_t kPemBytesMax = 64 * 1024;

// A block of a PEM text; views it.
struct PemBlock {
  std::string_view label;            // "CERTIFICATE"
  std::string_view body;             // base64 and white space
  bool encrypted = false;            // it said so in a header
};

// Walks the blocks of a PEM text (RFC 7468, its strict form but for white
// space): "-----BEGIN label-----", lines of base64, "-----END label-----".
// Lines of other text may stand between blocks, as `openssl x509 -text` writes
// them. Of the old headers only those of an encrypted key are known; any other
// makes the text bad, as do a block without end, one within another, ends of
// another name and a NUL. One pass, no allocation. Fuzzed by
// tests/fuzz/fuzz_pem_identity.cc.
class PemReader {
 public:
  enum class Step { kBlock, kEnd, kBad };

  explicit PemReader(std::string_view text) : rest_(text) {}
  [[nodiscard]] Step next(PemBlock& block);

 private:
  [[nodiscard]] std::string_view take_line();
  [[nodiscard]] bool take_headers(PemBlock& block);
  [[nodiscard]] bool take_body(PemBlock& block);

  std::string_view rest_;
};

// The bytes of a block's body; false where it is no base64 or would be more
// than `bytes_max`. White space counts for nothing, padding only at the end.
[[nodiscard]] bool decode_body(std::string_view body, std::size_t bytes_max,
                               SecretBytes& out);

}  // namespace fealty::sni
