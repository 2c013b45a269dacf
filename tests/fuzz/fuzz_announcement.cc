// One datagram through the decoder: whatever is taken is within the bounds that
// the rest of the room counts on.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "subscription/announcement.h"
#include "subscription/key.h"

namespace subscription = fealty::subscription;
using subscription::Announcement;

namespace {

void check_key(const std::string& key) {
  std::string again;
  FEALTY_CHECK(!key.empty() && key.size() <= subscription::kKeyBytesMax);
  FEALTY_CHECK(subscription::normalise_key(key, again) && again == key);
  const std::string file = subscription::key_file_name(key);
  FEALTY_CHECK(file.find('/') == file.npos && file.ends_with(".pem"));
  const std::string_view site = subscription::without_mountpoint(key);
  const std::string_view host = subscription::without_port(key);
  FEALTY_CHECK(!host.empty() && site.starts_with(host));
  FEALTY_CHECK(key.starts_with(site) && !key.ends_with('/'));
  FEALTY_CHECK(key.find("//") == key.npos && host.find("..") == host.npos);
  for (const char c : host) FEALTY_CHECK(c > ' ' && c < 0x7f && c != '/');
}

// As a key by itself, whatever the packet around it is.
void check_as_key(std::string_view text) {
  std::string key;
  if (subscription::normalise_key(text, key)) check_key(key);
}

void check_node(const Announcement& announcement) {
  FEALTY_CHECK(announcement.address_text.size() <=
               subscription::kAddressBytesMax);
  FEALTY_CHECK(announcement.vassal.size() <= subscription::kVassalBytesMax);
  FEALTY_CHECK(announcement.vassal.find('/') == std::string::npos);
  if (announcement.address_text.empty()) {
    FEALTY_CHECK(!announcement.vassal.empty());
    return;
  }
  FEALTY_CHECK(announcement.address.is_ip() ||
               announcement.address.is_unix());
  const std::string text = announcement.address.to_string();
  const auto address = fealty::Address::parse(text);
  FEALTY_CHECK(address && address->to_string() == text);
}

void check_views(const Announcement& announcement, std::string_view packet) {
  const std::string_view bytes = announcement.signed_bytes;
  FEALTY_CHECK(bytes.data() == packet.data() + 4);
  FEALTY_CHECK(bytes.size() <= packet.size() - 4);
  const std::string_view signature = announcement.signature;
  if (signature.empty()) return;
  // Two lengths, "sign" and the signature are all that follows.
  FEALTY_CHECK(bytes.size() + 8 + signature.size() == packet.size() - 4);
  FEALTY_CHECK(signature.data() + signature.size() ==
               packet.data() + packet.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  check_as_key(packet);
  const auto announcement = subscription::parse_announcement(packet);
  if (!announcement) {
    FEALTY_CHECK(subscription::to_string(announcement.error()) != "unknown");
    return 0;
  }
  check_key(announcement->key);
  check_views(*announcement, packet);
  FEALTY_CHECK(announcement->weight >= 1 &&
               announcement->weight <= subscription::kWeightMax);
  FEALTY_CHECK(announcement->unix_s >= 0);
  check_node(*announcement);
  return 0;
}
