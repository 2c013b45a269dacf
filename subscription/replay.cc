#include "subscription/replay.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace fealty::subscription {
namespace {

constexpr int kForgottenAtOnce = 64;

}  // namespace

ReplayMemory::ReplayMemory(const Clock& clock, std::int64_t tolerance_s,
                           std::size_t capacity)
    : clock_(clock),
      kept_ms_((2 * tolerance_s + 1) * 1000),
      capacity_(capacity) {}

ReplayMemory::Finding ReplayMemory::look(const Packet& packet) const {
  const auto known = index_.find(packet.node);
  if (known == index_.end()) return Finding::kNew;
  Node& node = *known->second;
  if (packet.stamp_s < node.greatest_s - kReorder_s) return Finding::kStale;
  const Seen* const seen = find(node, packet.content);
  if (seen == nullptr) return Finding::kNew;
  if (!packet.subscribe) return Finding::kReplayed;
  if (!seen->subscribed) {
    const bool restart =
        std::abs(packet.stamp_s - clock_.unix_s()) <= kRestart_s;
    return restart ? Finding::kNew : Finding::kReplayed;
  }
  const bool last = node.live && node.last_subscribe == packet.content;
  return last ? Finding::kDuplicate : Finding::kReplayed;
}

bool ReplayMemory::has_room(const Packet& packet, const Hash128& owner) {
  forget_old();
  const auto known = index_.find(packet.node);
  if (known != index_.end()) {
    Node& node = *known->second;
    if (find(node, packet.content) != nullptr) return true;
    const std::size_t left =
        outlive(node, std::max(node.greatest_s, packet.stamp_s));
    if (left >= kContentsMax) return false;
    if (left < node.seen.size()) return true;    // it replaces one
  }
  const auto share = shares_.find(owner);
  const std::size_t held = share == shares_.end() ? 0 : share->second;
  return contents_ < capacity_ && held < capacity_ - contents_;
}

void ReplayMemory::record(const Packet& packet, const Hash128& owner) {
  Node& node = touch(packet, owner);
  Seen* seen = find(node, packet.content);
  if (seen == nullptr) {
    node.seen.push_back({packet.content, packet.stamp_s, false});
    seen = &node.seen.back();
    count_in(node.owner);
  }
  node.live = packet.subscribe;
  if (!packet.subscribe) return;
  seen->subscribed = true;
  node.last_subscribe = packet.content;
}

void ReplayMemory::on_node_left(const Hash128& node) {
  const auto known = index_.find(node);
  if (known != index_.end()) known->second->live = false;
}

ReplayMemory::Seen* ReplayMemory::find(Node& node, const Hash128& content) {
  const auto at =
      std::find_if(node.seen.begin(), node.seen.end(),
                   [&](const Seen& seen) { return seen.content == content; });
  return at == node.seen.end() ? nullptr : &*at;
}

// How many of its contents count on if `greatest_s` is its greatest stamp.
std::size_t ReplayMemory::outlive(const Node& node, std::int64_t greatest_s) {
  return static_cast<std::size_t>(
      std::count_if(node.seen.begin(), node.seen.end(), [&](const Seen& seen) {
        return seen.stamp_s >= greatest_s - kReorder_s;
      }));
}

// The packet's node, at the end of the queue and with its greatest stamp.
ReplayMemory::Node& ReplayMemory::touch(const Packet& packet,
                                        const Hash128& owner) {
  const auto known = index_.find(packet.node);
  Nodes::iterator at;
  if (known == index_.end()) {
    at = nodes_.emplace(nodes_.end());
    at->id = packet.node;
    at->owner = owner;
    at->greatest_s = packet.stamp_s;
    index_.emplace(packet.node, at);
  } else {
    at = known->second;
    nodes_.splice(nodes_.end(), nodes_, at);
  }
  at->greatest_s = std::max(at->greatest_s, packet.stamp_s);
  at->recorded_ms = clock_.monotonic_ms();
  prune(*at);
  return *at;
}

void ReplayMemory::prune(Node& node) {
  const std::size_t before = node.seen.size();
  std::erase_if(node.seen, [&](const Seen& seen) {
    return seen.stamp_s < node.greatest_s - kReorder_s;
  });
  count_out(node.owner, before - node.seen.size());
}

// A few at a time: a flood's remains must not hold the thread up.
void ReplayMemory::forget_old() {
  const std::int64_t now_ms = clock_.monotonic_ms();
  for (int i = 0; i < kForgottenAtOnce && !nodes_.empty(); ++i) {
    Node& oldest = nodes_.front();
    if (now_ms - oldest.recorded_ms <= kept_ms_) return;
    count_out(oldest.owner, oldest.seen.size());
    index_.erase(oldest.id);
    nodes_.pop_front();
  }
}

void ReplayMemory::count_in(const Hash128& owner) {
  ++contents_;
  ++shares_[owner];
}

void ReplayMemory::count_out(const Hash128& owner, std::size_t contents) {
  if (contents == 0) return;
  contents_ -= contents;
  const auto share = shares_.find(owner);
  share->second -= contents;
  if (share->second == 0) shares_.erase(share);
}

bool ReplayMemory::is_live(const Hash128& node) const {
  const auto at = index_.find(node);
  return at != index_.end() && at->second->live;
}

}  // namespace fealty::subscription
