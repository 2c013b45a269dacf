#include "subscription/table.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace fealty::subscription {
namespace {

// Pools that are moved at a turn: one to some ten milliseconds' work.
constexpr std::size_t kMovedLeast = 1024;
constexpr std::size_t kMovedMost = 16'384;
// Changes that nobody asked a snapshot of are folded in at this number.
constexpr std::size_t kDirtyMost = 65'536;
// How many nodes are looked at for eight announcers.
constexpr std::size_t kAnnouncersLookedAt = 4096;
constexpr std::size_t kLevelsMost = 256;
constexpr std::int64_t kLongAgo_ms = std::numeric_limits<std::int64_t>::min();

bool has_address(const Announcement& announcement) {
  return announcement.address.length() != 0;
}

bool same_route(const NodeRecord& node, const Announcement& announcement) {
  return node.modifier1 == announcement.modifier1 &&
         node.modifier2 == announcement.modifier2 &&
         node.weight == announcement.weight &&
         node.backup == announcement.backup &&
         node.protocol == announcement.protocol &&
         node.demands_client == announcement.demands_client() &&
         !(node.handed_over && node.demands_client) &&
         node.material == announcement.material;
}

void set_route(NodeRecord& node, const Announcement& announcement) {
  node.modifier1 = announcement.modifier1;
  node.modifier2 = announcement.modifier2;
  node.weight = announcement.weight;
  node.backup = announcement.backup;
  node.protocol = announcement.protocol;
  node.demands_client = announcement.demands_client();
  node.handed_over = false;
  node.material = announcement.material;
}

Node route_to(NodeRecord& record) {
  return {&record, record.weight, record.modifier1, record.modifier2,
          record.protocol, 0};
}

std::uint32_t backup_of(const Node& node) {
  return static_cast<const NodeRecord*>(node.runtime)->backup;
}

// Orders the nodes by their backup level and numbers the levels from 0.
void rank_levels(std::vector<Node>& nodes) {
  if (nodes.size() < 2) return;
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const Node& a, const Node& b) {
                     return backup_of(a) < backup_of(b);
                   });
  std::size_t level = 0;
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    if (backup_of(nodes[i]) != backup_of(nodes[i - 1])) ++level;
    nodes[i].level =
        static_cast<std::uint8_t>(std::min(level, kLevelsMost - 1));
  }
}

void show(const PoolRecord& pool, std::vector<const NodeRecord*>& nodes,
          const std::function<void(const Table::PoolView&)>& visit) {
  // Gone, but nobody has published that yet.
  if (pool.nodes == 0 && pool.holds == 0) return;
  nodes.clear();
  for (const NodeRecord* node = pool.first; node != nullptr;
       node = node->next) {
    nodes.push_back(node);
  }
  visit({pool.key(), hash_key(pool.key()), pool.latest->hits(), pool.algorithm,
         nodes});
}

Options plain_options(std::int64_t tolerance_ms, bool dotsplit,
                      std::size_t nodes_max) {
  Options options;
  options.tolerance_ms = tolerance_ms;
  options.dotsplit = dotsplit;
  options.hold_ms = 0;
  options.nodes_max = nodes_max;
  return options;
}

}  // namespace

Table::Table(const Clock& clock, const Options& options)
    : last_(std::make_shared<Snapshot>(options.dotsplit, 0)),
      clock_(clock),
      tolerance_ms_(options.tolerance_ms),
      hold_ms_(options.hold_ms),
      slow_start_ms_(options.slow_start_ms),
      algorithm_(options.algorithm),
      dotsplit_(options.dotsplit),
      nodes_max_(options.nodes_max),
      paused_from_ms_(kLongAgo_ms),
      paused_until_ms_(kLongAgo_ms) {}

Table::Table(const Clock& clock, std::int64_t tolerance_ms, bool dotsplit,
             std::size_t nodes_max)
    : Table(clock, plain_options(tolerance_ms, dotsplit, nodes_max)) {}

Table::~Table() = default;

// ------------------------------------------------------------ announcements

Result<Change, Rejection> Table::apply(
    const Announcement& announcement,
    const std::optional<Credentials>& sender) {
  if (dirty_.size() >= kDirtyMost) fold();
  const std::uint64_t hash = hash_key(announcement.key);
  PoolRecord* pool = index_.find(announcement.key, hash);
  const bool cleared =
      announcement.clear && pool != nullptr && clear_sleeping(*pool);
  if (announcement.clear && !has_address(announcement)) {
    return cleared ? Change::kRemoved : Change::kNone;
  }
  if (!announcement.subscribe) return unsubscribe(announcement, pool);
  if (pool == nullptr || known(announcement, *pool) == nullptr) {
    if (full(pool)) return Rejection::kTableFull;
  }
  if (pool == nullptr) {
    pool = &index_.add(announcement.key, hash);
    pool->algorithm = algorithm_;
  }
  const Algorithm algorithm = announcement.algorithm.value_or(pool->algorithm);
  const bool renamed = algorithm != std::exchange(pool->algorithm, algorithm);
  const Change change = subscribe(announcement, sender, *pool);
  if (!renamed) return change;
  mark(*pool);
  return change == Change::kRefreshed || change == Change::kNone
             ? Change::kChanged
             : change;
}

Result<Change, Rejection> Table::apply_permanent(
    const Announcement& announcement) {
  const NodeRecord* const known =
      find_at(announcement.key, announcement.address);
  const bool announced =
      known != nullptr && (known->announced || !known->permanent);
  // Of certificates only announcements speak.
  Announcement it = announcement;
  if (known != nullptr) {
    it.sni_ca = known->demands_client ? "!" : "";
    it.material = known->material;
  }
  const auto change = apply(it, std::nullopt);
  if (!change) return change;
  NodeRecord* const node =
      find_at(announcement.key, announcement.address);
  if (node == nullptr) return change;
  node->announced = announced;
  if (!node->permanent) {
    forget(*node);
    node->permanent = true;
  }
  return change;
}

std::vector<SavedNode> Table::save() const {
  std::vector<SavedNode> all;
  all.reserve(node_count_);
  index_.for_each([&](const PoolRecord& pool) {
    for (const NodeRecord* node = pool.first; node != nullptr;
         node = node->next) {
      if (node->permanent && !node->announced && !node->drained) continue;
      SavedNode& saved = all.emplace_back();
      saved.key = pool.key();
      if (node->address().length() != 0) saved.name = node->name();
      saved.vassal = node->vassal();
      saved.algorithm = pool.algorithm;
      saved.protocol = node->protocol;
      saved.modifier1 = node->modifier1;
      saved.modifier2 = node->modifier2;
      saved.sleeping = node->sleeping;
      saved.on_demand = node->on_demand;
      saved.drained = node->drained;
      saved.demands_client = node->demands_client;
      saved.weight = node->weight;
      saved.backup = node->backup;
      saved.cores = node->cores;
      saved.load = node->load;
      saved.last_seen_unix_s = node->last_seen_unix_s;
      saved.last_seen_ms = node->last_seen_ms;
      saved.rest_until_ms = node->rest_until_ms.load(kRelaxed);
      saved.eligible_since_ms = node->eligible_since_ms.load(kRelaxed);
      saved.requests = node->requests.load(kRelaxed);
      saved.sent_bytes = node->sent_bytes.load(kRelaxed);
      saved.received_bytes = node->received_bytes.load(kRelaxed);
      saved.sender = node->sender();
    }
  });
  std::stable_sort(all.begin(), all.end(),
                   [](const SavedNode& one, const SavedNode& other) {
                     return one.last_seen_ms < other.last_seen_ms;
                   });
  return all;
}

void Table::restore(const SavedNode& saved) {
  Announcement made;
  made.key = saved.key;
  made.subscribe = true;
  made.vassal = saved.vassal;
  made.algorithm = saved.algorithm;
  made.protocol = saved.protocol;
  made.modifier1 = saved.modifier1;
  made.modifier2 = saved.modifier2;
  made.weight = saved.weight;
  made.backup = saved.backup;
  made.cores = saved.cores;
  made.load = saved.load;
  made.inactive = saved.sleeping;
  made.sni_ca = saved.demands_client ? "!" : "";
  if (!saved.name.empty()) {
    const auto address = Address::parse(saved.name);
    if (!address) return;
    made.address = *address;
    made.address_text = saved.name;
  }
  if (!apply(made, saved.sender)) return;
  PoolRecord* const pool = index_.find(saved.key, hash_key(saved.key));
  if (pool == nullptr) return;
  NodeRecord* const node = known(made, *pool);
  if (node == nullptr) return;
  node->on_demand = saved.on_demand;
  node->drained = saved.drained;
  node->handed_over = true;
  node->last_seen_ms = saved.last_seen_ms;
  node->last_seen_unix_s = saved.last_seen_unix_s;
  node->rest_until_ms.store(saved.rest_until_ms, kRelaxed);
  node->eligible_since_ms.store(saved.eligible_since_ms, kRelaxed);
  node->requests.store(saved.requests, kRelaxed);
  node->sent_bytes.store(saved.sent_bytes, kRelaxed);
  node->received_bytes.store(saved.received_bytes, kRelaxed);
  mark(*pool);
}

NodeRecord* Table::find_at(std::string_view key,
                           const Address& address) const {
  PoolRecord* const pool = index_.find(key, hash_key(key));
  return pool == nullptr ? nullptr : index_.find_node(*pool, address);
}

void Table::drop_permanent(std::string_view key, const Address& address) {
  NodeRecord* const node = find_at(key, address);
  if (node == nullptr || !node->permanent) return;
  node->permanent = false;
  const std::int64_t silent_ms = clock_.monotonic_ms() - node->last_seen_ms;
  if (node->announced && silent_ms <= tolerance_ms_) {
    heard(*node);
  } else {
    leave(*node, false);
  }
}

void Table::reconfigure(const Options& options) {
  tolerance_ms_ = options.tolerance_ms;
  hold_ms_ = options.hold_ms;
  nodes_max_ = options.nodes_max;
  if (std::exchange(dotsplit_, options.dotsplit) != options.dotsplit) {
    unpublished_ = stale_ = true;
  }
  const bool ramps = std::exchange(slow_start_ms_, options.slow_start_ms) !=
                     options.slow_start_ms;
  const Algorithm before = std::exchange(algorithm_, options.algorithm);
  if (!ramps && before == algorithm_) return;
  index_.for_each([&](PoolRecord& pool) {
    if (PoolRuntime* const runtime = pool.latest->runtime()) {
      runtime->slow_start_ms.store(slow_start_ms_, kRelaxed);
    }
    if (pool.algorithm != before || before == algorithm_) return;
    pool.algorithm = algorithm_;
    mark(pool);
  });
}

// What says that somebody sleeps need not say again what he demands.
void Table::keep_demand(NodeRecord& sleeper, const Announcement& announcement) {
  const bool demands = sleeper.demands_client || announcement.demands_client();
  const std::uint32_t material =
      announcement.material != 0 ? announcement.material : sleeper.material;
  if (demands == sleeper.demands_client && material == sleeper.material) return;
  sleeper.demands_client = demands;
  sleeper.material = material;
  mark(*sleeper.pool);
}

// The node that the announcement is about; null: it is new.
NodeRecord* Table::known(const Announcement& announcement,
                         const PoolRecord& pool) const {
  if (NodeRecord* const node =
          index_.find_node(pool, announcement.address)) {
    return node;
  }
  if (announcement.vassal.empty()) return nullptr;
  return PoolIndex::find_sleeping(pool, announcement.vassal);
}

bool Table::full(const PoolRecord* pool) const {
  return node_count_ >= nodes_max_ ||
         (pool != nullptr && pool->nodes >= kPoolNodesMax);
}

Change Table::subscribe(const Announcement& announcement,
                        const std::optional<Credentials>& sender,
                        PoolRecord& pool) {
  if (announcement.inactive || !has_address(announcement)) {
    return put_to_sleep(announcement, sender, pool);
  }
  NodeRecord* const node = known(announcement, pool);
  if (node != nullptr && !node->sleeping &&
      node->vassal() == announcement.vassal) {
    return refresh(announcement, sender, *node);
  }
  const bool changed = node != nullptr && !node->sleeping;
  auto made = make_record(announcement, sender, pool);
  NodeRecord& fresh = *made;
  if (node == nullptr) {
    add(std::move(made), pool);
  } else {
    // It wakes, or goes by another name now: who a node is never changes, so
    // that another one takes its place.
    fresh.on_demand = node->on_demand;
    fresh.permanent = node->permanent;
    fresh.drained = node->drained;
    replace(*node, std::move(made));
  }
  if (fresh.vassal().empty()) return changed ? Change::kChanged : Change::kAdded;
  if (NodeRecord* const sleeper =
          PoolIndex::find_sleeping(pool, fresh.vassal())) {
    fresh.on_demand = true;
    remove(*sleeper);
  }
  return changed ? Change::kChanged : Change::kAdded;
}

Change Table::put_to_sleep(const Announcement& announcement,
                           const std::optional<Credentials>& sender,
                           PoolRecord& pool) {
  NodeRecord* node = known(announcement, pool);
  if (node != nullptr && node->sleeping) {
    touch(*node, announcement, sender);
    heard(*node);
    keep_demand(*node, announcement);
    return Change::kRefreshed;
  }
  if (node != nullptr) {
    if (node->permanent) return Change::kNone;
    fall_asleep(*node);
    return Change::kChanged;
  }
  for (node = pool.first; node != nullptr; node = node->next) {
    if (announcement.vassal.empty()) break;
    if (node->vassal() != announcement.vassal) continue;
    // It is up, and will sleep when it goes.
    node->on_demand = true;
    return Change::kNone;
  }
  auto made = make_record(announcement, sender, pool);
  made->sleeping = made->on_demand = true;
  add(std::move(made), pool);
  return Change::kAdded;
}

Change Table::unsubscribe(const Announcement& announcement, PoolRecord* pool) {
  if (pool == nullptr) return Change::kNone;
  NodeRecord* const node =
      has_address(announcement)
          ? index_.find_node(*pool, announcement.address)
          : PoolIndex::find_sleeping(*pool, announcement.vassal);
  if (node == nullptr) return Change::kNone;
  if (node->permanent) {
    node->announced = false;
    return Change::kNone;
  }
  leave(*node, announcement.inactive);
  return Change::kRemoved;
}

bool Table::clear_sleeping(PoolRecord& pool) {
  bool any = false;
  for (NodeRecord* node = pool.first; node != nullptr;) {
    NodeRecord* const next = node->next;
    // Whoever is up is not to sleep later either.
    node->on_demand = false;
    if (node->sleeping) {
      remove(*node);
      any = true;
    }
    node = next;
  }
  return any;
}

Ref<NodeRecord> Table::make_record(const Announcement& announcement,
                                   const std::optional<Credentials>& sender,
                                   const PoolRecord& pool) const {
  const std::string_view name = announcement.address_text.empty()
                                    ? std::string_view(announcement.vassal)
                                    : announcement.address_text;
  auto made =
      NodeRecord::make(name, announcement.address, announcement.vassal);
  set_route(*made, announcement);
  touch(*made, announcement, sender);
  made->eligible_since_ms.store(eligible_since(pool), kRelaxed);
  return made;
}

void Table::add(Ref<NodeRecord> made, PoolRecord& pool) {
  NodeRecord& node = *made;
  if (pool.nodes == 0) ++pool_count_;
  ++node_count_;
  index_.append(pool, std::move(made));
  heard(node);
  mark(pool);
}

// The new one stands last in its pool.
void Table::replace(NodeRecord& node, Ref<NodeRecord> made) {
  PoolRecord& pool = *node.pool;
  NodeRecord& fresh = *made;
  forget(node);
  const Ref<NodeRecord> gone = index_.take(node);
  index_.append(pool, std::move(made));
  heard(fresh);
  mark(pool);
}

// Positive: its share grows from then. Negative: it came then, together with
// the others of the pool, and had its whole share at once.
std::int64_t Table::eligible_since(const PoolRecord& pool) const {
  if (slow_start_ms_ == 0) return 0;
  const std::int64_t now_ms = clock_.monotonic_ms();
  for (NodeRecord* node = pool.first; node != nullptr; node = node->next) {
    const std::int64_t since = node->eligible_since_ms.load(kRelaxed);
    if (!node->sleeping && !node->drained &&
        now_ms - std::abs(since) >= slow_start_ms_) {
      return now_ms;
    }
  }
  return -now_ms;
}

Change Table::refresh(const Announcement& announcement,
                      const std::optional<Credentials>& sender,
                      NodeRecord& node) {
  touch(node, announcement, sender);
  node.announced = true;
  if (node.on_announced(node.last_seen_ms)) say_back(node);
  heard(node);
  if (same_route(node, announcement)) return Change::kRefreshed;
  set_route(node, announcement);
  mark(*node.pool);
  return Change::kChanged;
}

void Table::say_back(const NodeRecord& node) {
  if (back_log_.ask(clock_.monotonic_ms()) != log::LineBudget::Verdict::kWrite) {
    return;
  }
  log::info("subscription: {} node {} gets requests again: it announced itself",
            node.pool->key(), log::printable(node.name()));
}

void Table::touch(NodeRecord& node, const Announcement& announcement,
                  const std::optional<Credentials>& sender) const {
  node.cores = announcement.cores;
  node.load = announcement.load;
  node.last_seen_ms = clock_.monotonic_ms();
  node.last_seen_unix_s = static_cast<std::uint32_t>(clock_.unix_s());
  node.requests_when_seen =
      static_cast<std::uint32_t>(node.requests.load(kRelaxed));
  node.set_sender(sender);
}

// ------------------------------------------------------------------ leaving

void Table::leave(NodeRecord& node, bool sleeps) {
  const bool may = !node.sleeping && !node.vassal().empty();
  if (may && (sleeps || node.on_demand)) {
    fall_asleep(node);
  } else {
    remove(node);
  }
}

void Table::fall_asleep(NodeRecord& node) {
  const std::string_view vassal = node.vassal();
  if (!vassal.empty() &&
      PoolIndex::find_sleeping(*node.pool, vassal) != nullptr) {
    return remove(node);
  }
  auto sleeper = NodeRecord::make(node.name(), node.address(), vassal);
  sleeper->sleeping = sleeper->on_demand = true;
  sleeper->weight = node.weight;
  sleeper->drained = node.drained;
  sleeper->demands_client = node.demands_client;
  sleeper->material = node.material;
  sleeper->last_seen_ms = clock_.monotonic_ms();
  sleeper->last_seen_unix_s = static_cast<std::uint32_t>(clock_.unix_s());
  sleeper->set_sender(node.sender());
  replace(node, std::move(sleeper));
}

void Table::remove(NodeRecord& node) {
  PoolRecord& pool = *node.pool;
  forget(node);
  --node_count_;
  // Requests that are under way keep it, with their pool, until they end.
  const Ref<NodeRecord> gone = index_.take(node);
  mark(pool);
  if (pool.nodes != 0) return;
  --pool_count_;
  hold(pool);
}

void Table::hold(PoolRecord& pool) {
  if (hold_ms_ == 0 || !pool.published || held_.size() >= kHeldMost) return;
  ++pool.holds;
  held_.push_back({&pool, clock_.monotonic_ms() + hold_ms_});
  if (pool.latest->runtime() != nullptr || pool.latest->hits() == 0) return;
  // The count of the pool's hits is to survive its only node.
  auto runtime = Ref<PoolRuntime>::adopt(new PoolRuntime);
  runtime->slow_start_ms = slow_start_ms_;
  runtime->hits.store(pool.latest->hits(), kRelaxed);
  pool.latest = Pool::make({.key = pool.key(),
                            .client_rule = pool.latest->client_rule(),
                            .runtime = runtime.get()});
}

void Table::drop_held(std::int64_t now_ms) {
  while (!held_.empty() && held_.front().until_ms <= now_ms) {
    PoolRecord& pool = *held_.front().pool;
    held_.pop_front();
    if (--pool.holds == 0 && pool.nodes == 0) mark(pool);
  }
}

Table::Expiry Table::expire(const OnDrop& on_drop) {
  if (dirty_.size() >= kDirtyMost) fold();
  Expiry expiry;
  const std::int64_t now_ms = clock_.monotonic_ms();
  drop_held(now_ms);
  const std::int64_t due_ms = now_ms - tolerance_ms_;
  if (oldest_ == nullptr || oldest_->last_seen_ms >= due_ms ||
      now_ms < paused_until_ms_) {
    return expiry;
  }
  if (all_fell_silent(now_ms)) {
    paused_from_ms_ = now_ms;
    paused_until_ms_ = now_ms + tolerance_ms_;
    expiry.pause_began = true;
    return expiry;
  }
  while (oldest_ != nullptr && oldest_->last_seen_ms < due_ms) {
    NodeRecord& node = *oldest_;
    if (on_drop) on_drop(node.pool->key(), node);
    leave(node, false);
    ++expiry.dropped;
  }
  return expiry;
}

// The oldest is due.
bool Table::all_fell_silent(std::int64_t now_ms) const {
  const std::int64_t last_ms = newest_->last_seen_ms;
  return last_ms > paused_from_ms_ && now_ms - last_ms >= tolerance_ms_ / 2 &&
         last_ms - oldest_->last_seen_ms <= tolerance_ms_ && many_announcers();
}

bool Table::many_announcers() const {
  std::array<std::string_view, kAnnouncersForPause> names;
  std::size_t count = 0;
  std::size_t seen = 0;
  for (const NodeRecord* node = oldest_;
       node != nullptr && seen < kAnnouncersLookedAt;
       node = node->newer, ++seen) {
    const auto end = names.begin() + static_cast<std::ptrdiff_t>(count);
    if (std::find(names.begin(), end, node->name()) != end) continue;
    names[count] = node->name();
    if (++count == names.size()) return true;
  }
  return false;
}

void Table::heard(NodeRecord& node) {
  if (node.permanent || newest_ == &node) return;
  forget(node);
  node.older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = &node;
  newest_ = &node;
}

void Table::forget(NodeRecord& node) {
  if (node.older != nullptr) {
    node.older->newer = node.newer;
  } else if (oldest_ == &node) {
    oldest_ = node.newer;
  }
  if (node.newer != nullptr) {
    node.newer->older = node.older;
  } else if (newest_ == &node) {
    newest_ = node.older;
  }
  node.older = node.newer = nullptr;
}

// --------------------------------------------------------------- publishing

void Table::mark(PoolRecord& pool) {
  unpublished_ = true;
  if (pool.dirty) return;
  pool.dirty = true;
  dirty_.push_back(&pool);
}

void Table::renew(std::string_view key) {
  PoolRecord* const pool = index_.find(key, hash_key(key));
  if (pool != nullptr && pool->nodes != 0) mark(*pool);
}

std::shared_ptr<const Snapshot> Table::build() {
  if (unpublished_) fold();
  unpublished_ = next_moved_ < kShards ||
                 homes_ != HomeCells::shared().growths();
  return last_;
}

// So many at each turn that all are at home before the cells grow again, as long
// as changes come in no great number at once.
void Table::move_some() {
  const std::uint64_t homes = HomeCells::shared().growths();
  if (std::exchange(homes_, homes) != homes) next_moved_ = 0;
  const std::size_t moved_most =
      std::clamp(3 * dirty_.size(), kMovedLeast, kMovedMost);
  const std::size_t dirty_most = dirty_.size() + moved_most;
  std::size_t may_look = 8 * moved_most;   // at those that stay, too
  while (next_moved_ < kShards && dirty_.size() < dirty_most && may_look > 0) {
    index_.for_each_in(next_moved_++, 1, [&](PoolRecord& pool) {
      if (pool.latest->should_move()) mark(pool);
      may_look -= may_look > 0 ? 1 : 0;
    });
  }
}

void Table::fold() {
  move_some();
  auto next = std::make_shared<Snapshot>(*last_, dotsplit_, last_->version() + 1);
  for (PoolRecord* const pool : dirty_) {
    pool->dirty = false;
    if (pool->nodes == 0 && pool->holds == 0) {
      if (pool->published) next->remove(pool->key());
      if (pool_gone_) pool_gone_(pool->key());
      index_.remove(*pool);
      continue;
    }
    pool->published = true;
    pool->latest = make_pool(*pool);
    next->put(pool->latest);
  }
  dirty_.clear();
  stale_ = false;
  last_ = std::move(next);
}

// Nobody of a held pool's is there to ask: its rule stays.
ClientRule Table::judge_clients(PoolRecord& pool) {
  if (pool.nodes == 0) return pool.latest->client_rule();
  bool demanded = false;
  bool unproven = false;             // and of that material nothing is known
  materials_scratch_.clear();
  for (const NodeRecord* node = pool.first; node != nullptr;
       node = node->next) {
    demanded = demanded || node->demands_client;
    unproven = unproven || (node->demands_client && !node->handed_over);
    const auto end = materials_scratch_.end();
    if (node->material != 0 &&
        std::find(materials_scratch_.begin(), end, node->material) == end) {
      materials_scratch_.push_back(node->material);
    }
  }
  // What nobody names any more may go on for a while: it is asked about again.
  pool.has_material = pool.has_material || !materials_scratch_.empty();
  ClientRule rule = ClientRule::kNone;
  if (on_materials_ && pool.has_material) {
    rule = on_materials_(pool.key(), materials_scratch_);
  }
  if (!demanded || rule != ClientRule::kNone) return rule;
  // What a predecessor judged clients by was handed over as well.
  return unproven ? ClientRule::kUnusable : ClientRule::kDemands;
}

PoolRef Table::make_pool(PoolRecord& pool) {
  nodes_scratch_.clear();
  sleeping_scratch_.clear();
  for (NodeRecord* node = pool.first; node != nullptr; node = node->next) {
    if (node->drained) continue;
    (node->sleeping ? sleeping_scratch_ : nodes_scratch_)
        .push_back(route_to(*node));
  }
  rank_levels(nodes_scratch_);
  Ref<PoolRuntime> runtime = Ref<PoolRuntime>::share(pool.latest->runtime());
  // Where the only node is drained, the count of its hits is to stay.
  const bool counts =
      nodes_scratch_.size() > 1 ||
      (nodes_scratch_.empty() && pool.latest->hits() != 0);
  if (runtime == nullptr && counts) {
    runtime = Ref<PoolRuntime>::adopt(new PoolRuntime);
    runtime->slow_start_ms = slow_start_ms_;
    runtime->hits.store(pool.latest->hits(), kRelaxed);
  }
  return Pool::make({.key = pool.key(),
                     .algorithm = pool.algorithm,
                     .client_rule = judge_clients(pool),
                     .nodes = nodes_scratch_,
                     .sleeping = sleeping_scratch_,
                     .runtime = runtime.get()});
}

// ------------------------------------------------------- what operators ask

Table::Drain Table::set_drained(std::string_view key, std::string_view name,
                                bool drained) {
  if (dirty_.size() >= kDirtyMost) fold();
  PoolRecord* const pool = index_.find(key, hash_key(key));
  if (pool == nullptr || pool->nodes == 0) return Drain::kNoKey;
  NodeRecord* const node = find_named(*pool, name);
  if (node == nullptr) return Drain::kNoNode;
  if (node->drained == drained) return Drain::kAlready;
  node->drained = drained;
  // Back among the others, its share grows like a newcomer's.
  if (!drained) node->eligible_since_ms.store(eligible_since(*pool), kRelaxed);
  mark(*pool);
  return Drain::kDone;
}

NodeRecord* Table::find_named(const PoolRecord& pool,
                              std::string_view name) const {
  if (const auto address = Address::parse(name)) {
    return index_.find_node(pool, *address);
  }
  return name.empty() ? nullptr : PoolIndex::find_sleeping(pool, name);
}

void Table::visit_nodes(std::size_t first, std::size_t count,
                        const VisitNode& visit) const {
  index_.for_each_in(first, count, [&](const PoolRecord& pool) {
    for (NodeRecord* node = pool.first; node != nullptr; node = node->next) {
      visit(*node);
    }
  });
}

void Table::for_each_pool(
    const std::function<void(const PoolView&)>& visit) const {
  std::vector<const NodeRecord*> nodes;
  index_.for_each(
      [&](const PoolRecord& pool) { show(pool, nodes, visit); });
}

void Table::with_pool(
    std::string_view key,
    const std::function<void(const PoolView&)>& visit) const {
  std::vector<const NodeRecord*> nodes;
  const PoolRecord* const pool = index_.find(key, hash_key(key));
  if (pool != nullptr) show(*pool, nodes, visit);
}

}  // namespace fealty::subscription
