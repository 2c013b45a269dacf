#include "router/worker.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

namespace fealty::router {
namespace {

// Request ids need not be secret, only different from worker to worker and
// from run to run.
std::uint64_t random_start() {
  std::uint64_t start = 0;
  if (::getrandom(&start, sizeof start, 0) != sizeof start) start = 1;
  return start;
}

}  // namespace

Worker::Worker(WorkerSetup setup, SharedState& shared,
               std::function<void()> on_progress)
    : context_(setup.settings, shared, random_start(), setup.worker),
      on_progress_(std::move(on_progress)) {
  setups_.open<&Worker::on_setup>(context_.loop, this);
  setups_.post(std::move(setup));
  published_.open<&Worker::on_published>(context_.loop, this);
  wake_.start<&Worker::on_wake>(context_.loop, this);
  tick_.bind<&Worker::on_tick>(context_.loop, this);
  context_.retry_timer.bind<&Worker::on_retry>(context_.loop, this);
  context_.hold_timer.bind<&Worker::on_hold_retry>(context_.loop, this);
}

Worker::~Worker() {
  for (const auto& session : sessions_) session->abort();
}

void Worker::run() {
  on_published();  // the first request is to find what is there already
  on_setup();
  context_.loop.run();
}

void Worker::on_setup() {
  auto setup = setups_.take();
  if (!setup) return;
  on_published();  // it may be about the same change
  context_.adopt(std::move(setup->settings));
  if (!context_.draining) listen(setup->listeners);
  end_outdated(setup->listeners);
  adopted_setup_.store(setup->version, std::memory_order_release);
  on_progress_();
}

void Worker::listen(const std::vector<WorkerListener>& listeners) {
  const auto acceptor_on = [&](const WorkerListener& wanted) {
    return std::find_if(
        acceptors_.begin(), acceptors_.end(),
        [&](const auto& acceptor) { return acceptor->is_on(wanted); });
  };
  std::erase_if(acceptors_, [&](const auto& acceptor) {
    const bool stays = std::any_of(
        listeners.begin(), listeners.end(),
        [&](const auto& wanted) { return acceptor->is_on(wanted); });
    if (!stays) acceptor->stop();
    return !stays;
  });
  for (const WorkerListener& wanted : listeners) {
    if (const auto known = acceptor_on(wanted); known != acceptors_.end()) {
      (*known)->set_listener(wanted.listener);
      continue;
    }
    acceptors_.push_back(std::make_unique<Acceptor>(
        context_, wanted,
        [this](UniqueFd fd, const Address& peer, const ListenerPtr& listener) {
          on_connection(std::move(fd), peer, listener);
        }));
    acceptors_.back()->start();
  }
}

// Connections whose listener is no more, or asks for something else now.
void Worker::end_outdated(const std::vector<WorkerListener>& listeners) {
  for (const auto& session : sessions_) {
    const Listener* const its = session->listener();
    if (its == nullptr) continue;
    const bool stands = std::any_of(
        listeners.begin(), listeners.end(), [its](const auto& wanted) {
          return wanted.listener->terms == its->terms;
        });
    if (!stands) session->end_soon();
  }
}

void Worker::on_connection(UniqueFd fd, const Address& peer,
                           const ListenerPtr& listener) {
  if (free_sessions_.empty()) {
    sessions_.push_back(std::make_unique<Session>(context_, *this));
    free_sessions_.push_back(sessions_.back().get());
  }
  Session* const session = free_sessions_.back();
  free_sessions_.pop_back();
  session->open(std::move(fd), peer, listener);
  if (tick_.active()) return;
  last_tick_ms_ = coarse_monotonic_ms();
  tick_.start(kTickMs, kTickMs);
}

void Worker::on_session_closed(Session& session) {
  free_sessions_.push_back(&session);
}

void Worker::on_published() {
  auto published = published_.take();
  if (!published) return;
  context_.snapshot = std::move(published->routes);
  if (published->tls.identities != nullptr) {
    context_.tls.identities = std::move(published->tls.identities);
    context_.tls.tickets = std::move(published->tls.tickets);
  }
  adopted_version_.store(context_.snapshot->version(),
                         std::memory_order_release);
  on_progress_();
  // What is armed this very moment is left to the timer, so that it ends.
  retry(context_.hold_deadline,
        coarse_monotonic_ms() + WorkerContext::kHoldRetryMs - 1);
}

void Worker::on_wake() {
  if (stop_asked_.load(std::memory_order_relaxed)) {
    context_.loop.stop();
  } else if (drain_asked_.exchange(false, std::memory_order_relaxed)) {
    begin_drain();
  } else if (retire_asked_.exchange(false, std::memory_order_relaxed)) {
    begin_retirement();
  }
}

void Worker::begin_retirement() {
  context_.draining = true;
  for (const auto& acceptor : acceptors_) acceptor->let_go();
  check_drained();
}

void Worker::begin_drain() {
  context_.draining = true;
  for (const auto& acceptor : acceptors_) acceptor->stop();
  for (const auto& session : sessions_) session->drain();
  check_drained();
}

void Worker::check_drained() {
  if (!context_.draining ||
      context_.counters.active.load(std::memory_order_relaxed) != 0) {
    return;
  }
  drained_.store(true, std::memory_order_release);
  on_progress_();
}

// A loop that could not run has not read what came meanwhile: it does so first.
// Not twice in a row, or one that is always late would let everybody wait.
bool Worker::came_late(std::int64_t now_ms) {
  const std::int64_t since_ms = now_ms - std::exchange(last_tick_ms_, now_ms);
  late_ = !late_ && since_ms > 2 * kTickMs;
  return late_;
}

void Worker::on_tick() {
  const std::int64_t now_ms = coarse_monotonic_ms();
  if (came_late(now_ms)) {
    tick_.start(kTickMs, kTickMs);       // a whole one from now on
    return;
  }
  for (DeadlineQueue* queue :
       {&context_.handshake_deadline, &context_.head_deadline,
        &context_.keepalive_deadline, &context_.client_deadline,
        &context_.connect_deadline, &context_.node_deadline,
        &context_.linger_deadline}) {
    while (Deadline* const passed = queue->pop_passed(now_ms)) {
      Session::of(*passed).on_deadline(*queue);
    }
  }
  context_.node_pool.expire(now_ms);
  if (context_.draining) check_drained();
  if (free_sessions_.size() == sessions_.size() &&
      context_.node_pool.idle() == 0) {
    tick_.stop();
  }
}

void Worker::on_retry() {
  retry(context_.retry_deadline, coarse_monotonic_ms());
  if (context_.retry_deadline.empty()) context_.retry_timer.stop();
}

void Worker::on_hold_retry() {
  retry(context_.hold_deadline, coarse_monotonic_ms());
  if (context_.hold_deadline.empty()) context_.hold_timer.stop();
}

// Those that wait for room in a backlog, or for a node, and are to try again by
// `until_ms`, in the order in which they came. One that finds none speaks for
// all others of its pool, this time, but for those that have waited enough.
void Worker::retry(DeadlineQueue& queue, std::int64_t until_ms) {
  constexpr std::size_t kWaitersMost = 4096;
  constexpr std::size_t kFullPoolsMost = 32;
  std::array<const subscription::Pool*, kFullPoolsMost> full;
  std::size_t full_count = 0;
  const std::int64_t now_ms = coarse_monotonic_ms();
  for (std::size_t i = 0; i < kWaitersMost; ++i) {
    Deadline* const passed = queue.pop_passed(until_ms);
    if (passed == nullptr) break;
    Session& session = Session::of(*passed);
    if (!session.before_retry()) continue;
    const subscription::Pool* const pool = session.pool();
    const auto end = full.begin() + static_cast<std::ptrdiff_t>(full_count);
    if (!session.has_waited_enough(now_ms) &&
        std::find(full.begin(), end, pool) != end) {
      queue.arm(*passed, now_ms);
      continue;
    }
    session.on_deadline(queue);
    if (passed->queue() != &queue) continue;
    full[full_count++] = pool;
    if (full_count == kFullPoolsMost) break;
  }
}

}  // namespace fealty::router
