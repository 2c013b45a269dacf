#include "subscription/node.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "subscription/hash.h"

namespace fealty::subscription {
namespace {

constexpr std::int64_t kRestFirst_ms = 500;
constexpr std::int64_t kRestMost_ms = 30'000;
constexpr std::uint32_t kDoublingsMost = 6;   // 500 << 6 is over the most
constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);

std::int64_t rest_ms(std::uint32_t failures_in_a_row) {
  const std::uint32_t doublings =
      std::min(failures_in_a_row - 1, kDoublingsMost);
  return std::min(kRestFirst_ms << doublings, kRestMost_ms);
}

// The name stands in the address already. (An abstract one's does not: there
// a NUL stands for its '@'.)
bool is_path_of(const Address& address, std::string_view name) {
  return address.is_unix() && name.starts_with('/') &&
         name == address.unix_path();
}

}  // namespace

bool NodeRuntime::fail(std::atomic<std::uint32_t>& counter,
                       std::int64_t now_ms) {
  counter.fetch_add(1, kRelaxed);
  return rest(now_ms);
}

bool NodeRuntime::on_early_close(std::int64_t now_ms) {
  early_closes.fetch_add(1, kRelaxed);
  const std::uint8_t before = early_in_a_row_.load(kRelaxed);
  if (before + 1 >= kEarlyClosesForRest) return rest(now_ms);
  early_in_a_row_.store(static_cast<std::uint8_t>(before + 1), kRelaxed);
  return false;
}

bool NodeRuntime::rest(std::int64_t now_ms) {
  std::int64_t until = rest_until();
  if (until != 0 && now_ms < until) return false;
  const std::uint32_t in_a_row =
      std::min(failures_in_a_row() + 1, std::uint32_t{UINT16_MAX});
  const std::int64_t next = now_ms + rest_ms(in_a_row);
  // Of several threads that fail at once, one moves the rest and counts.
  if (!rest_until_ms.compare_exchange_strong(until, next, kRelaxed)) {
    return false;
  }
  failures_.store(static_cast<std::uint16_t>(in_a_row), kRelaxed);
  eligible_since_ms.store(next, kRelaxed);
  return in_a_row == 1;
}

// Of several threads that hear from it at once, one ends the rest.
bool NodeRuntime::end_rest() {
  rest_until_ms.store(0, kRelaxed);
  return failures_.exchange(0, kRelaxed) != 0;
}

std::uint64_t NodeRuntime::failed() const {
  return std::uint64_t{connect_failures.load(kRelaxed)} +
         timeouts.load(kRelaxed) + early_closes.load(kRelaxed);
}

std::string_view NodeRuntime::name() const {
  const auto& record = static_cast<const NodeRecord&>(*this);
  if (!record.name_is_path_) {
    return {record.identity() + record.address_bytes_, record.name_bytes_};
  }
  return {record.identity() + kPathOffset, record.name_bytes_};
}

std::string_view NodeRuntime::vassal() const {
  const auto& record = static_cast<const NodeRecord&>(*this);
  const std::size_t before =
      record.address_bytes_ +
      (record.name_is_path_ ? std::size_t{0} : record.name_bytes_);
  return {record.identity() + before, record.vassal_bytes_};
}

Address NodeRuntime::address() const {
  const auto& record = static_cast<const NodeRecord&>(*this);
  if (record.address_bytes_ == 0) return {};
  sockaddr_storage storage{};
  std::memcpy(&storage, record.identity(), record.address_bytes_);
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage),
                                record.address_bytes_);
}

void NodeRuntime::release() const {
  if (refs_.drop()) static_cast<const NodeRecord*>(this)->destroy();
}

Ref<NodeRecord> NodeRecord::make(std::string_view name, const Address& address,
                                 std::string_view vassal) {
  FEALTY_CHECK(name.size() <= kAddressBytesMax &&
               vassal.size() <= kAddressBytesMax);
  const bool in_path = is_path_of(address, name);
  const std::size_t bytes = sizeof(NodeRecord) + address.length() +
                            (in_path ? 0 : name.size()) + vassal.size();
  void* const memory = ::operator new(bytes);
  auto* const record = new (memory) NodeRecord;
  record->address_bytes_ = static_cast<std::uint8_t>(address.length());
  record->name_bytes_ = static_cast<std::uint8_t>(name.size());
  record->vassal_bytes_ = static_cast<std::uint8_t>(vassal.size());
  record->name_is_path_ = in_path;
  char* at = const_cast<char*>(record->identity());
  const auto append = [&](const void* from, std::size_t size) {
    if (size == 0) return;
    std::memcpy(at, from, size);
    at += size;
  };
  append(address.data(), address.length());
  if (!in_path) append(name.data(), name.size());
  append(vassal.data(), vassal.size());
  return Ref<NodeRecord>::adopt(record);
}

void NodeRecord::destroy() const {
  this->~NodeRecord();
  ::operator delete(const_cast<NodeRecord*>(this));
}

std::optional<Credentials> NodeRecord::sender() const {
  if (!has_sender_) return std::nullopt;
  return Credentials{pid_, uid_, gid_};
}

void NodeRecord::set_sender(const std::optional<Credentials>& sender) {
  const Credentials known = sender.value_or(Credentials{});
  has_sender_ = sender.has_value();
  pid_ = known.pid;
  uid_ = known.uid;
  gid_ = known.gid;
}

std::uint64_t sticky_token(std::string_view name) {
  const std::uint64_t hash = stable_hash(name);
  return hash == 0 ? 1 : hash;
}

}  // namespace fealty::subscription
