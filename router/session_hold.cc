// Waiting for a node to come: the last one reloads, or all sleep.

#include "router/session.h"

namespace fealty::router {

// Nobody is there to ask, or all who were asked are gone; a node that let the
// request time out is there. True: the request has its place among the held.
bool Session::may_hold(std::int64_t now_ms) {
  const bool nobody = pool_->nodes().empty() || node_gone_;
  if (!nobody || backlog_full_ || connect_timeouts_ > 0) return false;
  if (hold_since_ms_ == 0) hold_since_ms_ = now_ms;
  spawning_ = spawning_ || wakes_vassal();
  if (now_ms - hold_since_ms_ >= hold_limit_ms()) return false;
  return held_ || take_hold_place();
}

bool Session::take_hold_place() {
  auto& held = context_.shared.held;
  if (held.fetch_add(1, std::memory_order_relaxed) >=
      context_.options().limits.held_requests) {
    held.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  held_ = true;
  Counters::add(context_.counters.held);
  return true;
}

// From the first wait on, whatever was tried in between.
std::int64_t Session::hold_limit_ms() const {
  return spawning_ ? context_.options().timeouts.spawn_ms
                   : context_.options().limits.hold_ms;
}

bool Session::wakes_vassal() const {
  return context_.options().emperor && !pool_->vassal_to_wake().empty();
}

// Every node may be tried again then. Whoever sleeps is asked for each time:
// the Emperor may have missed it.
void Session::hold() {
  if (wakes_vassal()) static_cast<void>(context_.shared.sleepers.post(pool_));
  tried_.clear();
  node_gone_ = false;
  again_ = nullptr;
  context_.wait_for_node(deadline_);
  watch_client();
}

void Session::end_hold() {
  if (!held_) return;
  held_ = false;
  context_.shared.held.fetch_sub(1, std::memory_order_relaxed);
}

// A held request goes by the routes as they are now. Its key's pool may be gone
// for a moment, and come back with other demands on its clients.
bool Session::before_retry() {
  if (!held_) return true;
  const subscription::Pool* const now =
      context_.snapshot->find_exact(pool_->key());
  if (now == nullptr || now == pool_.get()) return true;
  last_node_ = nullptr;
  pool_ = subscription::PoolRef::share(now);
  return may_still_reach();
}

bool Session::has_waited_enough(std::int64_t now_ms) const {
  return held_ ? now_ms - hold_since_ms_ >= hold_limit_ms()
               : now_ms >= connect_until_ms_;
}

}  // namespace fealty::router
