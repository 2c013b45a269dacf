// Arbitrary bytes as the beginning of a connection: what is whole stays the same
// whatever follows, everything shorter asks for more, and nothing is read beyond.

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "wire/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using fealty::wire::parse_proxy_header;
  using State = fealty::wire::ProxyHeader::State;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto all = parse_proxy_header(bytes);
  for (std::size_t cut = 0; cut < size && cut < 300; ++cut) {
    const auto part = parse_proxy_header(bytes.substr(0, cut));
    switch (all.state) {
      case State::kWhole:
        FEALTY_CHECK(part.state ==
                     (cut < all.bytes ? State::kMore : State::kWhole));
        FEALTY_CHECK(cut < all.bytes || part.bytes == all.bytes);
        break;
      case State::kMore:
        FEALTY_CHECK(part.state == State::kMore);
        break;
      case State::kBad:
        FEALTY_CHECK(part.state != State::kWhole);
        break;
    }
  }
  if (all.state == State::kWhole) {
    FEALTY_CHECK(all.bytes <= size &&
                 all.bytes <= fealty::wire::kProxyHeaderBytesMax);
    FEALTY_CHECK(all.source.family() == 0 || all.source.is_ip());
  }
  return 0;
}
