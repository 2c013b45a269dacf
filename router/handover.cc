#include "router/handover.h"

#include <openssl/crypto.h>

#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

namespace fealty::router {
namespace {

constexpr std::string_view kMark = "fealty handover 1\n";
enum class Tag : std::uint8_t {
  kSocket = 1,
  kTicketKeys,
  kStickySecret,
  kIdentity,
  kDefault,
  kNode,
  kClusterKey,
};

// One record: each field is the number's bytes, or the text's.
class Record {
 public:
  Record(std::string& out, Tag tag) : out_(out) {
    out_ += static_cast<char>(tag);
    put_size(0);
    begin_ = out_.size();
  }
  ~Record() {
    const auto bytes = static_cast<std::uint32_t>(out_.size() - begin_);
    std::memcpy(out_.data() + begin_ - sizeof bytes, &bytes, sizeof bytes);
  }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  Record& operator<<(std::string_view text) {
    put_size(text.size());
    out_ += text;
    return *this;
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T> && (!std::is_pointer_v<T>)
  Record& operator<<(const T& value) {
    return *this << std::string_view(reinterpret_cast<const char*>(&value),
                                     sizeof value);
  }

 private:
  void put_size(std::size_t size) {
    const auto bytes = static_cast<std::uint32_t>(size);
    out_.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  }

  std::string& out_;
  std::size_t begin_ = 0;
};

// The same way back. Once something is missing, ok() stays false.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] bool ok() const { return ok_; }
  std::string_view take(std::size_t bytes) {
    ok_ = ok_ && bytes <= rest_.size();
    if (!ok_) return {};
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  std::uint32_t size() {
    std::uint32_t value = 0;
    const std::string_view bytes = take(sizeof value);
    if (ok_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  Fields& operator>>(std::string& text) {
    text = take(size());
    return *this;
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  Fields& operator>>(T& value) {
    const std::string_view bytes = take(size());
    ok_ = ok_ && bytes.size() == sizeof value;
    if (ok_) std::memcpy(static_cast<void*>(&value), bytes.data(), sizeof value);
    return *this;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// Each kind of record in one place, for both ways.
template <typename Stream, typename Identity>
void identity_fields(Stream& stream, Identity& identity) {
  const auto field = [&](auto& value) {
    if constexpr (std::is_same_v<Stream, Fields>) {
      stream >> value;
    } else {
      stream << value;
    }
  };
  field(identity.name);
  field(identity.chain);
  field(identity.key);
  field(identity.client_ca);
  field(identity.client_crl);
  field(identity.client_demanded);
  field(identity.client_depth);
}

template <typename Stream, typename Node>
void node_fields(Stream& stream, Node& node) {
  const auto field = [&](auto& value) {
    if constexpr (std::is_same_v<Stream, Fields>) {
      stream >> value;
    } else {
      stream << value;
    }
  };
  field(node.key);
  field(node.name);
  field(node.vassal);
  field(node.algorithm);
  field(node.protocol);
  field(node.modifier1);
  field(node.modifier2);
  field(node.sleeping);
  field(node.on_demand);
  field(node.drained);
  field(node.demands_client);
  field(node.weight);
  field(node.backup);
  field(node.cores);
  field(node.load);
  field(node.last_seen_unix_s);
  field(node.last_seen_ms);
  field(node.rest_until_ms);
  field(node.eligible_since_ms);
  field(node.requests);
  field(node.sent_bytes);
  field(node.received_bytes);
  field(node.sender);
}

Handover::Socket read_socket(Fields& fields) {
  Handover::Socket socket;
  fields >> socket.kind >> socket.address >> socket.inherited_fd >>
      socket.shared;
  while (fields.ok() && !fields.empty()) {
    fields >> socket.fds.emplace_back();
  }
  return socket;
}

void read_record(Tag tag, Fields& fields, Handover& out) {
  switch (tag) {
    case Tag::kSocket:
      out.sockets.push_back(read_socket(fields));
      break;
    case Tag::kTicketKeys:
      fields >> out.ticket_keys;
      break;
    case Tag::kStickySecret:
      fields >> out.sticky_secret;
      break;
    case Tag::kClusterKey:
      fields >> out.cluster_key;
      break;
    case Tag::kIdentity:
      identity_fields(fields, out.identities.emplace_back());
      break;
    case Tag::kDefault:
      identity_fields(fields, out.defaults.emplace_back());
      break;
    case Tag::kNode:
      node_fields(fields, out.nodes.emplace_back());
      break;
  }
}

}  // namespace

Handover::~Handover() {
  OPENSSL_cleanse(ticket_keys.data(), ticket_keys.size());
  OPENSSL_cleanse(sticky_secret.data(), sticky_secret.size());
  OPENSSL_cleanse(cluster_key.data(), cluster_key.size());
}

std::string Handover::encode() const {
  std::string out(kMark);
  for (const Socket& socket : sockets) {
    Record record(out, Tag::kSocket);
    record << socket.kind << std::string_view(socket.address)
           << socket.inherited_fd << socket.shared;
    for (const int fd : socket.fds) record << fd;
  }
  Record(out, Tag::kTicketKeys) << std::string_view(ticket_keys);
  Record(out, Tag::kStickySecret) << std::string_view(sticky_secret);
  Record(out, Tag::kClusterKey) << std::string_view(cluster_key);
  for (const auto& identity : identities) {
    Record record(out, Tag::kIdentity);
    identity_fields(record, identity);
  }
  for (const auto& identity : defaults) {
    Record record(out, Tag::kDefault);
    identity_fields(record, identity);
  }
  for (const auto& node : nodes) {
    Record record(out, Tag::kNode);
    node_fields(record, node);
  }
  return out;
}

Result<Handover> Handover::decode(std::string_view bytes) {
  if (!bytes.starts_with(kMark)) {
    return Error{"the handover is of another version"};
  }
  Handover handover;
  Fields records(bytes.substr(kMark.size()));
  while (!records.empty()) {
    const std::string_view tag = records.take(1);
    Fields fields(records.take(records.size()));
    if (records.ok()) {
      read_record(static_cast<Tag>(tag.front()), fields, handover);
    }
    if (!records.ok() || !fields.ok()) {
      return Error{"the handover is broken"};
    }
  }
  return handover;
}

}  // namespace fealty::router
