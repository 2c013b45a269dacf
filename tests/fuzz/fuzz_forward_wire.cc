// Datagrams and packets through the forwarder's codec: as they come, and sealed
// with the right key, so that what stands behind the seal is reached too. What is
// marked is a packet that is not marked again, and fits into a datagram.

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "legion/forward_wire.h"

using namespace fealty::legion;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static ForwardSealer sealer("secret");
  ForwardOpener opener("secret", "");
  FEALTY_CHECK(!opener.open(bytes, 0, 0));
  FEALTY_CHECK(opener.senders(0) == 0);

  const auto marked = mark_forwarded(bytes);
  if (marked) {
    FEALTY_CHECK(marked.value().size() <= forward::kPacketBytesMax);
    FEALTY_CHECK(!is_forwarded(bytes) && is_forwarded(marked.value()));
    FEALTY_CHECK(mark_forwarded(marked.value()).error() ==
                 ForwardDrop::kCameBack);
  }
  const std::string_view packet =
      marked ? std::string_view(marked.value())
             : bytes.substr(0, forward::kPacketBytesMax);
  const std::string datagram = sealer.seal(packet, 0);
  FEALTY_CHECK(datagram.size() <= forward::kDatagramBytesMax);
  const auto opened = opener.open(datagram, 0, 0);
  FEALTY_CHECK(opened && opened.value() == packet);
  FEALTY_CHECK(opener.open(datagram, 0, 0).error() == ForwardDrop::kReplayed);
  return 0;
}
