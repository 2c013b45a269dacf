#pragma once

#include <span>
#include <string_view>

namespace fealty {

// HKDF-SHA256 (RFC 5869): fills `out` with a key made of `secret`. `info` says
// what the key is for, so that no two uses of one secret share a key; the salt is
// the same for all of Fealty. At most 8160 bytes. Pure; any thread.
void derive_key(std::string_view secret, std::string_view info,
                std::span<unsigned char> out);

}  // namespace fealty
