#include "subscription/announcement.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "wire/uwsgi_packet.h"

namespace fealty::subscription {
namespace {

using wire::UwsgiPair;
using wire::UwsgiPairReader;

// Every field that the protocol knows, whether it is used here or not: none of
// them may come twice.
enum Field : std::size_t {
  kKey, kAddress, kModifier1, kModifier2, kCores, kLoad, kWeight, kBackup,
  kAlgo, kProto, kNotify, kVassal, kInactive, kClear, kSniKey, kSniCrt, kSniCa,
  kVia, kUnix, kSign, kFields,
};
constexpr std::array<std::string_view, kFields> kFieldNames = {
    "key",  "address", "modifier1", "modifier2", "cores",   "load",    "weight",
    "backup", "algo",  "proto",     "notify",    "vassal",  "inactive", "clear",
    "sni_key", "sni_crt", "sni_ca", "via",      "unix",     "sign"};

constexpr std::size_t kNotifyBytesMax = 255;
constexpr std::int64_t kUnixMax_s = 253'402'300'799;  // the end of year 9999

// The packet's fields as they stand; what is absent has no data.
struct Fields {
  std::array<std::string_view, kFields> value;
  std::array<bool, kFields> present{};
  std::string_view signed_bytes;
};

// A step's verdict: empty, or why the packet is refused.
using Verdict = std::optional<Rejection>;

std::size_t field_of(std::string_view name) {
  for (std::size_t field = 0; field < kFields; ++field) {
    if (kFieldNames[field] == name) return field;
  }
  return kFields;
}

Verdict read_fields(std::string_view data, Fields& out) {
  UwsgiPairReader reader(data);
  UwsgiPair pair;
  out.signed_bytes = data;
  for (;;) {
    const auto step = reader.next(pair);
    if (step == UwsgiPairReader::Step::kEnd) return std::nullopt;
    if (step == UwsgiPairReader::Step::kMalformed) return Rejection::kMalformed;
    if (out.present[kSign]) return Rejection::kAfterSignature;
    const std::size_t field = field_of(pair.key);
    if (field == kFields) continue;
    if (out.present[field]) return Rejection::kDuplicateField;
    out.present[field] = true;
    out.value[field] = pair.value;
    if (field == kSign) out.signed_bytes = data.substr(0, pair.offset);
  }
}

bool has_nul(std::string_view text) {
  return text.find('\0') != std::string_view::npos;
}

// Absent leaves the default. from_chars takes no sign, no space and no prefix
// for an unsigned number, and refuses what does not fit.
template <typename T>
bool read_number(const Fields& fields, Field field, std::uint64_t most,
                 T& out) {
  if (!fields.present[field]) return true;
  const std::string_view text = fields.value[field];
  const char* const end = text.data() + text.size();
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || stop != end) return false;
  if (number > most) return false;
  out = static_cast<T>(number);
  return true;
}

Verdict read_numbers(const Fields& fields, Announcement& out) {
  constexpr std::uint64_t kByteMax = 255;
  constexpr std::uint64_t kWordMax = std::numeric_limits<std::uint32_t>::max();
  const bool fine =
      read_number(fields, kModifier1, kByteMax, out.modifier1) &&
      read_number(fields, kModifier2, kByteMax, out.modifier2) &&
      read_number(fields, kCores, kWordMax, out.cores) &&
      read_number(fields, kLoad, kWordMax, out.load) &&
      read_number(fields, kWeight, kWeightMax, out.weight) &&
      read_number(fields, kBackup, kWordMax, out.backup) &&
      read_number(fields, kUnix, std::uint64_t{kUnixMax_s}, out.unix_s);
  if (!fine) return Rejection::kBadNumber;
  if (out.weight == 0) out.weight = 1;
  return std::nullopt;
}

Verdict read_key(const Fields& fields, Announcement& out) {
  const std::string_view key = fields.value[kKey];
  if (key.empty() || key.size() > kKeyBytesMax) return Rejection::kBadKey;
  if (has_nul(key)) return Rejection::kBadValue;
  if (!normalise_key(key, out.key)) return Rejection::kBadKey;
  return std::nullopt;
}

// A vassal's name becomes a file's in the Emperor's folder, and a line of a log.
bool is_vassal_name(std::string_view name) {
  if (name.empty() || name.size() > kVassalBytesMax) return false;
  if (name == "." || name.find("..") != name.npos) return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == '\x7f' || (c >= 0 && c < ' ');
  });
}

// Present, and anything but "0".
bool read_flag(const Fields& fields, Field field, bool& out) {
  out = fields.present[field] && fields.value[field] != "0";
  return !has_nul(fields.value[field]);
}

Verdict read_vassal(const Fields& fields, Announcement& out) {
  if (fields.present[kVassal] && !is_vassal_name(fields.value[kVassal])) {
    return Rejection::kBadValue;
  }
  out.vassal = fields.value[kVassal];
  if (!read_flag(fields, kInactive, out.inactive) ||
      !read_flag(fields, kClear, out.clear)) {
    return Rejection::kBadValue;
  }
  return std::nullopt;
}

Verdict read_address(const Fields& fields, Announcement& out) {
  if (!fields.present[kAddress] && !out.vassal.empty()) return std::nullopt;
  const std::string_view text = fields.value[kAddress];
  if (text.empty() || text.size() > kAddressBytesMax) {
    return Rejection::kBadAddress;
  }
  if (has_nul(text)) return Rejection::kBadValue;
  const auto address = Address::parse(text);
  if (!address) return Rejection::kBadAddress;
  if (address->is_ip() && address->port() == 0) return Rejection::kBadAddress;
  out.address = *address;
  out.address_text = text;
  return std::nullopt;
}

bool read_protocol(const Fields& fields, Protocol& out) {
  if (!fields.present[kProto]) return true;
  const std::string_view text = fields.value[kProto];
  if (text.empty() || has_nul(text)) return false;
  switch (text.front()) {
    case 'u': out = Protocol::kUwsgi; return true;
    case 'h': out = Protocol::kHttp; return true;
    case 'f': out = Protocol::kFastCgi; return true;
    case 's': out = Protocol::kScgi; return true;
    default: return false;
  }
}

bool read_algorithm(const Fields& fields, std::optional<Algorithm>& out) {
  if (!fields.present[kAlgo]) return true;
  for (const Algorithm algorithm :
       {Algorithm::kWrr, Algorithm::kLrc, Algorithm::kWlrc, Algorithm::kIphash,
        Algorithm::kSticky}) {
    if (fields.value[kAlgo] != to_string(algorithm)) continue;
    out = algorithm;
    return true;
  }
  return false;
}

Verdict read_values(const Fields& fields, Announcement& out) {
  if (!read_protocol(fields, out.protocol)) return Rejection::kBadValue;
  if (!read_algorithm(fields, out.algorithm)) return Rejection::kBadValue;
  const std::string_view notify = fields.value[kNotify];
  if (notify.size() > kNotifyBytesMax || has_nul(notify)) {
    return Rejection::kBadValue;
  }
  out.notify = notify;
  out.via = fields.value[kVia];
  if (out.via.size() > kViaBytesMax) return Rejection::kBadValue;
  out.sni_key = fields.value[kSniKey];
  out.sni_crt = fields.value[kSniCrt];
  out.sni_ca = fields.value[kSniCa];
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Rejection reason) {
  switch (reason) {
    case Rejection::kTruncated: return "truncated";
    case Rejection::kNotSubscription: return "not-subscription";
    case Rejection::kMalformed: return "malformed";
    case Rejection::kDuplicateField: return "duplicate-field";
    case Rejection::kBadKey: return "bad-key";
    case Rejection::kBadAddress: return "bad-address";
    case Rejection::kBadNumber: return "bad-number";
    case Rejection::kBadValue: return "bad-value";
    case Rejection::kUnsupported: return "unsupported";
    case Rejection::kAfterSignature: return "after-signature";
    case Rejection::kUnsigned: return "unsigned";
    case Rejection::kNoKey: return "no-key";
    case Rejection::kBadSignature: return "bad-signature";
    case Rejection::kStale: return "stale";
    case Rejection::kReplayed: return "replayed";
    case Rejection::kOverBudget: return "over-budget";
    case Rejection::kNotOwner: return "not-owner";
    case Rejection::kAddressNotAllowed: return "address-not-allowed";
    case Rejection::kAddressTaken: return "address-taken";
    case Rejection::kSniNotAllowed: return "sni-not-allowed";
    case Rejection::kTableFull: return "table-full";
    case Rejection::kCount: break;
  }
  return "unknown";
}

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::kUwsgi: return "uwsgi";
    case Protocol::kHttp: return "http";
    case Protocol::kFastCgi: return "fastcgi";
    case Protocol::kScgi: return "scgi";
  }
  return "unknown";
}

std::string_view to_string(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kWrr: return "wrr";
    case Algorithm::kLrc: return "lrc";
    case Algorithm::kWlrc: return "wlrc";
    case Algorithm::kIphash: return "iphash";
    case Algorithm::kSticky: return "sticky";
  }
  return "unknown";
}

Result<Announcement, Rejection> parse_announcement(std::string_view packet) {
  const auto header = wire::decode_uwsgi_header(packet);
  if (!header) return Rejection::kTruncated;
  if (header->modifier1 != wire::kModifierSubscription ||
      header->modifier2 > 1) {
    return Rejection::kNotSubscription;
  }
  const std::string_view data = packet.substr(wire::kUwsgiHeaderBytes);
  if (data.size() != header->data_bytes) return Rejection::kTruncated;

  Fields fields;
  Announcement result;
  if (const auto why = read_fields(data, fields)) return *why;
  if (const auto why = read_key(fields, result)) return *why;
  if (const auto why = read_vassal(fields, result)) return *why;
  if (const auto why = read_address(fields, result)) return *why;
  if (const auto why = read_numbers(fields, result)) return *why;
  if (const auto why = read_values(fields, result)) return *why;
  result.subscribe = header->modifier2 == 0;
  result.signed_bytes = fields.signed_bytes;
  result.signature = fields.value[kSign];
  return result;
}

}  // namespace fealty::subscription
