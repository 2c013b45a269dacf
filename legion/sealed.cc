#include "legion/sealed.h"

#include <openssl/rand.h>

#include "base/check.h"
#include "wire/uwsgi_packet.h"

namespace fealty::legion {
namespace {

constexpr std::string_view kAnnouncePurpose = "announce aes-256-gcm 1 ";
constexpr std::size_t kTextAt = wire::kUwsgiHeaderBytes + SealedWire::kNonceBytes;

}  // namespace

SealedWire::SealedWire(std::string_view secret, std::string_view legion)
    : aead_(secret, std::string(kAnnouncePurpose) + std::string(legion)) {}

bool SealedWire::is_sealed(std::string_view datagram) {
  const auto header = wire::decode_uwsgi_header(datagram);
  return header && header->modifier1 == wire::kModifierLegion &&
         header->modifier2 == kVersion;
}

std::string SealedWire::seal(std::string_view clear) const {
  FEALTY_CHECK(clear.size() <= wire::kUwsgiDataBytesMax);
  std::string out(kOverheadBytes + clear.size(), '\0');
  wire::encode_uwsgi_header(
      out.data(), {wire::kModifierLegion,
                   static_cast<std::uint16_t>(clear.size()), kVersion});
  char* const nonce = out.data() + wire::kUwsgiHeaderBytes;
  FEALTY_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(nonce),
                          kNonceBytes) == 1);
  aead_.seal(nonce, {out.data(), wire::kUwsgiHeaderBytes}, clear,
             out.data() + kTextAt);
  return out;
}

std::optional<std::string> SealedWire::open(std::string_view datagram) const {
  if (!is_sealed(datagram) || datagram.size() < kOverheadBytes) {
    return std::nullopt;
  }
  std::string clear(datagram.size() - kOverheadBytes, '\0');
  if (wire::decode_uwsgi_header(datagram)->data_bytes != clear.size() ||
      !aead_.open(datagram.data() + wire::kUwsgiHeaderBytes,
                  datagram.substr(0, wire::kUwsgiHeaderBytes),
                  datagram.substr(kTextAt), clear.data())) {
    return std::nullopt;
  }
  return clear;
}

}  // namespace fealty::legion
