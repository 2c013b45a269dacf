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
  FEALTY_CHECK(announcement->address_text.size() <=
               subscription::kAddressBytesMax);
  FEALTY_CHECK(announcement->address.is_ip() ||
               announcement->address.is_unix());
  const std::string text = announcement->address.to_string();
  const auto address = fealty::Address::parse(text);
  FEALTY_CHECK(address && address->to_string() == text);
  return 0;
}
