#include "wire/subscription_packet.h"

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "wire/uwsgi_packet.h"

namespace fealty::wire {
namespace {

using Pair = std::pair<std::string_view, std::string>;

// In uWSGI's order, with what it does not send between its own and the
// signature.
std::vector<Pair> pairs_of(const SubscriptionPacket& packet) {
  std::vector<Pair> pairs = {
      {"key", packet.key},
      {"address", packet.address},
      {"modifier1", std::to_string(packet.modifier1)},
      {"modifier2", std::to_string(packet.modifier2)},
      {"cores", std::to_string(packet.cores)},
      {"load", std::to_string(packet.load)},
      {"weight", std::to_string(packet.weight)}};
  if (packet.backup != 0) {
    pairs.emplace_back("backup", std::to_string(packet.backup));
  }
  const std::array<std::pair<std::string_view, const std::string*>, 7> texts = {
      {{"proto", &packet.proto},
       {"algo", &packet.algo},
       {"sni_key", &packet.sni_key},
       {"sni_crt", &packet.sni_crt},
       {"sni_ca", &packet.sni_ca},
       {"notify", &packet.notify},
       {"nonce", &packet.nonce}}};
  for (const auto& [name, text] : texts) {
    if (!text->empty()) pairs.emplace_back(name, *text);
  }
  return pairs;
}

std::size_t bytes_of(const std::vector<Pair>& pairs) {
  std::size_t bytes = kUwsgiHeaderBytes;
  for (const auto& [name, value] : pairs) {
    bytes += 4 + name.size() + value.size();
  }
  return bytes;
}

Error too_long(std::size_t bytes) {
  return Error{"the announcement would have " + std::to_string(bytes) +
               " bytes, and a datagram holds " +
               std::to_string(kSubscriptionBytesMax)};
}

std::string encode(const std::vector<Pair>& pairs, std::uint8_t modifier2) {
  std::string out(bytes_of(pairs), '\0');
  UwsgiWriter writer(out);
  for (const auto& [name, value] : pairs) writer.add(name, value);
  FEALTY_CHECK(!writer.finish(kModifierSubscription, modifier2).empty());
  return out;
}

}  // namespace

Result<std::string> encode_subscription(const SubscriptionPacket& packet,
                                        SubscriptionCommand command,
                                        std::int64_t now_s,
                                        const SigningKey* key) {
  const bool leaves = command == SubscriptionCommand::kUnsubscribe;
  const std::uint8_t modifier2 = leaves ? 1 : 0;
  std::vector<Pair> pairs = pairs_of(packet);
  if (key != nullptr) {
    pairs.emplace_back("unix", std::to_string(now_s + (leaves ? 1 : 0)));
  }
  if (bytes_of(pairs) > kSubscriptionBytesMax) return too_long(bytes_of(pairs));
  if (key == nullptr) return encode(pairs, modifier2);

  const std::string bare = encode(pairs, modifier2);
  auto signature =
      key->sign(std::string_view(bare).substr(kUwsgiHeaderBytes));
  if (!signature) return signature.error();
  pairs.emplace_back("sign", std::move(*signature));
  if (bytes_of(pairs) > kSubscriptionBytesMax) return too_long(bytes_of(pairs));
  return encode(pairs, modifier2);
}

}  // namespace fealty::wire
