#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::api {

// A random UUID (version 4).
[[nodiscard]] std::string make_uuid();

struct RsaPair {
  std::string private_pem;
  std::string public_pem;
};
// 2048 bits; takes a part of a second.
[[nodiscard]] Result<RsaPair> make_rsa_pair();

// A container's address: 10.0.0.0/8, its number and 2.
[[nodiscard]] std::string container_ip(std::int64_t id);
// Its name with everything but letters, digits and hyphens as hyphens.
[[nodiscard]] std::string hostname_of(std::string_view name);

}  // namespace fealty::api
