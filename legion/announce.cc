#include "legion/announce.h"

#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "base/check.h"
#include "legion/load.h"
#include "wire/uwsgi_packet.h"

namespace fealty::legion {
namespace {

constexpr std::size_t kHeardBytes = Uuid::kBytes + 8;

// Which of the keys a packet has; each at most once.
enum Key : std::uint32_t {
  kLegion = 1,
  kValor = 2,
  kUnix = 4,
  kLord = 8,
  kName = 16,
  kPid = 32,
  kUuid = 64,
  kChecksum = 128,
  kLordValor = 256,
  kLordUuid = 512,
  kScroll = 1024,
  kDead = 2048,
  kSequence = 4096,
  kHeard = 8192,
  kLinks = 16384,
  kHurry = 32768,
  kTolerance = 65536,
  kQuorum = 131072,
  kUnbound = 262144,
  kIdle = 524288,
};

struct Named {
  std::string_view name;
  Key key;
};
constexpr std::array<Named, 20> kKeys = {{{"legion", kLegion},
                                          {"valor", kValor},
                                          {"unix", kUnix},
                                          {"lord", kLord},
                                          {"name", kName},
                                          {"pid", kPid},
                                          {"uuid", kUuid},
                                          {"checksum", kChecksum},
                                          {"lord_valor", kLordValor},
                                          {"lord_uuid", kLordUuid},
                                          {"scroll", kScroll},
                                          {"dead", kDead},
                                          {"seq", kSequence},
                                          {"heard", kHeard},
                                          {"links", kLinks},
                                          {"idle", kIdle},
                                          {"hurry", kHurry},
                                          {"tolerance", kTolerance},
                                          {"quorum", kQuorum},
                                          {"unbound", kUnbound}}};
constexpr std::uint32_t kNeeded = kLegion | kValor | kUnix | kUuid | kChecksum |
                                  kLordValor | kLordUuid;
constexpr std::uint32_t kNeededSealed = kNeeded | kSequence | kHeard | kLinks |
                                        kTolerance | kQuorum;
constexpr std::uint32_t kOnlySealed = kSequence | kHeard | kLinks | kIdle | kHurry |
                                      kTolerance | kQuorum | kUnbound;

template <typename Number>
bool parse_number(std::string_view text, Number& out) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

bool parse_text(std::string_view value, std::size_t most, std::string& out) {
  if (value.size() > most) return false;
  out.assign(value);
  return true;
}

void append_u64le(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) {
    out += static_cast<char>(value & 0xFF);
    value >>= 8;
  }
}

bool parse_heard(std::string_view value, std::vector<Heard>& out) {
  if (value.size() % kHeardBytes != 0 ||
      value.size() / kHeardBytes > kMembersMax) {
    return false;
  }
  for (; !value.empty(); value.remove_prefix(kHeardBytes)) {
    Heard heard;
    if (!Uuid::parse(value.substr(0, Uuid::kBytes), heard.uuid) ||
        heard.uuid.empty()) {
      return false;
    }
    heard.sequence = load_u64le(value.data() + Uuid::kBytes);
    out.push_back(heard);
  }
  return true;
}

bool parse_flag(std::string_view value, bool& out) {
  out = value == "1";
  return out || value == "0";
}

bool take(Key key, std::string_view value, Announce& out) {
  switch (key) {
    case kLegion: return parse_text(value, kLegionNameMax, out.legion);
    case kValor: return parse_number(value, out.valor);
    case kUnix: return parse_number(value, out.unix_s);
    case kLord: return parse_number(value, out.lord_since_s);
    case kName: return parse_text(value, kHostNameMax, out.name);
    case kPid: return parse_number(value, out.pid);
    case kUuid: return Uuid::parse(value, out.uuid) && !out.uuid.empty();
    case kChecksum: return parse_number(value, out.checksum);
    case kLordValor: return parse_number(value, out.vote.valor);
    case kLordUuid: return Uuid::parse(value, out.vote.uuid);
    case kScroll: return parse_text(value, kScrollMax, out.scroll);
    case kDead: return parse_flag(value, out.dead);
    case kSequence: return parse_number(value, out.sequence);
    case kHeard: return parse_heard(value, out.heard);
    case kLinks: return parse_number(value, out.links);
    case kIdle: return parse_flag(value, out.idle);
    case kHurry: return parse_flag(value, out.hurry);
    case kTolerance: return parse_number(value, out.tolerance_ms);
    case kQuorum: return parse_number(value, out.quorum);
    case kUnbound: return parse_flag(value, out.unbound);
  }
  return false;
}

void add_number(wire::UwsgiWriter& writer, std::string_view key,
                std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  writer.add(key, {digits, static_cast<std::size_t>(end - digits)});
}

void add_sealed(wire::UwsgiWriter& writer, const Announce& announce) {
  add_number(writer, "seq", announce.sequence);
  std::string heard;
  for (const Heard& each : announce.heard) {
    heard.append(each.uuid.bytes());
    append_u64le(heard, each.sequence);
  }
  writer.add("heard", heard);
  add_number(writer, "links", announce.links);
  if (announce.idle) writer.add("idle", "1");
  if (announce.hurry) writer.add("hurry", "1");
  add_number(writer, "tolerance",
             static_cast<std::uint64_t>(announce.tolerance_ms));
  add_number(writer, "quorum", announce.quorum);
  if (announce.unbound) writer.add("unbound", "1");
}

}  // namespace

Uuid Uuid::draw() {
  constexpr char kDigits[] = "0123456789abcdef";
  std::array<unsigned char, 16> random{};
  FEALTY_CHECK(RAND_bytes(random.data(), static_cast<int>(random.size())) == 1);
  random[6] = static_cast<unsigned char>((random[6] & 0x0F) | 0x40);
  random[8] = static_cast<unsigned char>((random[8] & 0x3F) | 0x80);
  Uuid uuid;
  std::size_t at = 0;
  for (std::size_t i = 0; i < random.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) uuid.text_[at++] = '-';
    uuid.text_[at++] = kDigits[random[i] >> 4];
    uuid.text_[at++] = kDigits[random[i] & 0x0F];
  }
  return uuid;
}

bool Uuid::parse(std::string_view text, Uuid& out) {
  if (text.size() != kBytes) return false;
  const auto visible = [](char c) { return c > ' ' && c < 0x7f; };
  const auto nul = [](char c) { return c == '\0'; };
  if (!std::all_of(text.begin(), text.end(), visible) &&
      !std::all_of(text.begin(), text.end(), nul)) {
    return false;
  }
  std::copy(text.begin(), text.end(), out.text_.begin());
  return true;
}

Result<std::string> encode_announce(const Announce& announce, Wire wire) {
  std::string buffer(kClearTextMax + wire::kUwsgiHeaderBytes, '\0');
  wire::UwsgiWriter writer{std::span<char>(buffer)};
  writer.add("legion", announce.legion);
  add_number(writer, "valor", announce.valor);
  add_number(writer, "unix", static_cast<std::uint64_t>(announce.unix_s));
  add_number(writer, "lord", static_cast<std::uint64_t>(announce.lord_since_s));
  writer.add("name", announce.name);
  add_number(writer, "pid", announce.pid);
  writer.add("uuid", announce.uuid.bytes());
  add_number(writer, "checksum", announce.checksum);
  add_number(writer, "lord_valor", announce.vote.valor);
  writer.add("lord_uuid", announce.vote.uuid.bytes());
  if (!announce.scroll.empty()) writer.add("scroll", announce.scroll);
  if (announce.dead) writer.add("dead", "1");
  if (wire == Wire::kSealed) add_sealed(writer, announce);
  const auto packet = writer.finish(wire::kModifierLegion, 0);
  if (packet.empty()) {
    return Error{"the announcement is longer than " +
                 std::to_string(kClearTextMax) + " bytes: shorten the scroll"};
  }
  buffer.resize(packet.size());
  buffer.erase(0, wire::kUwsgiHeaderBytes);
  return buffer;
}

Result<Announce, Malformed> decode_announce(std::string_view clear, Wire wire) {
  using Step = wire::UwsgiPairReader::Step;
  Announce out;
  out.sealed = wire == Wire::kSealed;
  std::uint32_t seen = 0;
  wire::UwsgiPairReader reader(clear);
  wire::UwsgiPair pair;
  Step step = reader.next(pair);
  for (; step == Step::kPair; step = reader.next(pair)) {
    const auto known =
        std::find_if(kKeys.begin(), kKeys.end(),
                     [&](const Named& each) { return each.name == pair.key; });
    if (known == kKeys.end()) continue;
    if (wire == Wire::kUwsgi && (known->key & kOnlySealed) != 0) continue;
    if ((seen & known->key) != 0) return Malformed{"a key comes twice"};
    seen |= known->key;
    if (!take(known->key, pair.value, out)) {
      return Malformed{"a value is not what its key says"};
    }
  }
  if (step == Step::kMalformed) return Malformed{"a pair points beyond the end"};
  const std::uint32_t needed =
      wire == Wire::kSealed ? kNeededSealed : kNeeded;
  if ((seen & needed) != needed) return Malformed{"a key is missing"};
  if (wire == Wire::kSealed && out.sequence == 0) {
    return Malformed{"the sequence number is 0"};
  }
  return out;
}

std::uint64_t checksum_part(std::uint64_t valor, const Uuid& uuid) {
  for (const char c : uuid.bytes()) valor += static_cast<unsigned char>(c);
  return valor;
}

}  // namespace fealty::legion
