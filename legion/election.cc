#include "legion/election.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"

namespace fealty::legion {
namespace {

constexpr std::int64_t kNever = MemberView::kNever;
// Packets of which we know when they went out: an echo of an older one says
// nothing any more.
constexpr std::size_t kSentKept = 256;
// Members that left, of whom repeated packets are still known.
constexpr std::size_t kGoneKept = 256;
// Changes that follow one another closer than this travel in one packet.
constexpr std::int64_t kGather_ms = 10;
// uwsgi wire: so long may packets bear the same second and still count as a sign
// of life; what is repeated later does not.
constexpr std::int64_t kStampLife_ms = 1'000;
// Parts of the announcements' interval: how often we announce while we miss
// somebody's echo or wait for votes, and how soon we answer one who does.
constexpr std::int64_t kHurryPart = 8;
constexpr std::int64_t kAnswerPart = 32;
// How long those who have just started wait for each other.
constexpr std::int64_t kSettlePart = 4;
// Parts of four of the tolerance: who has not shown for so long that it hears us
// is still a member, but none to elect. What it was promised last then ends, with
// a new election, within two tolerances from when it went.
constexpr std::int64_t kLinkQuarters = 3;
constexpr std::int64_t kSuspendedMost_ms = 3'600'000;

bool is_better(const Vote& one, const Vote& other) {
  if (one.valor != other.valor) return one.valor > other.valor;
  return one.uuid > other.uuid;
}

}  // namespace

Election::Election(const ElectionOptions& options, Wire wire,
                   std::string legion, std::string host, std::uint64_t pid,
                   const Uuid& uuid, std::int64_t now_ms)
    : options_(options), wire_(wire), legion_(std::move(legion)),
      host_(std::move(host)), pid_(pid), uuid_(uuid), started_ms_(now_ms) {
  checksum_ = checksum_part(options_.valor, uuid_);
}

MemberView* Election::find(const Uuid& uuid) {
  const auto found =
      std::find_if(members_.begin(), members_.end(),
                   [&](const auto& own) { return own.last.uuid == uuid; });
  return found == members_.end() ? nullptr : &*found;
}

const MemberView* Election::find(const Uuid& uuid) const {
  return const_cast<Election*>(this)->find(uuid);
}

void Election::advance(std::int64_t now_ms, std::int64_t wall_s) {
  evaluate(now_ms, wall_s);
  if (leaving_) return;
  const std::int64_t since_ms = now_ms - last_sent_ms_;
  const bool asked = asked_ && since_ms >= options_.freq_ms / kAnswerPart;
  const bool hurry =
      since_ms >= options_.freq_ms / kHurryPart && hurries(now_ms);
  if ((dirty_ && since_ms >= kGather_ms) || asked || hurry ||
      since_ms >= options_.freq_ms) {
    act(Action::Kind::kSend);
  }
}

// We miss somebody's packets or echo, or wait for votes.
bool Election::hurries(std::int64_t now_ms) const {
  if (role_ == Role::kFollower && vote_.uuid == uuid_ &&
      links_ >= options_.quorum && wire_ == Wire::kSealed) {
    return true;
  }
  const std::int64_t late_ms = options_.freq_ms + options_.freq_ms / 4;
  return std::any_of(members_.begin(), members_.end(), [&](const auto& each) {
    if (!each.counted) return false;
    if (now_ms - each.heard_late_ms > late_ms) return true;
    return wire_ == Wire::kSealed && each.echo_ms != kNever &&
           now_ms - each.echo_ms > late_ms;
  });
}

std::int64_t Election::next_wake_ms(std::int64_t now_ms) const {
  std::int64_t wake_ms = last_sent_ms_ + options_.freq_ms;
  const auto at = [&](std::int64_t ms) {
    if (ms >= now_ms) wake_ms = std::min(wake_ms, ms);
  };
  if (dirty_) at(std::max(now_ms, last_sent_ms_ + kGather_ms));
  if (asked_) at(std::max(now_ms, last_sent_ms_ + options_.freq_ms / kAnswerPart));
  if (hurries(now_ms)) {
    at(std::max(now_ms, last_sent_ms_ + options_.freq_ms / kHurryPart));
  }
  const std::int64_t late_ms = options_.freq_ms + options_.freq_ms / 4 + 1;
  for (const MemberView& each : members_) {
    at(each.heard_late_ms + late_ms);
    at(each.echo_ms + late_ms);
    at(each.heard_ms + options_.tolerance_ms);
    at(each.echo_ms + link_ms());
    at(each.echo_ms + options_.tolerance_ms);
    if (role_ == Role::kLord) at(each.lease_ms);
    if (each.alone) at(each.alone_since_ms + options_.tolerance_ms);
  }
  at(promise_.until_ms);
  at(suspended_until_ms_);
  at(started_ms_ + options_.tolerance_ms);
  at(started_ms_ + 2 * options_.freq_ms);
  if (wire_ == Wire::kSealed) at(first_bound_ms());
  return std::max(wake_ms, now_ms);
}

// What we knew before is newer, or it is a life that ended.
bool Election::is_replayed(const Announce& announce, const MemberView* known,
                           std::int64_t now_ms, std::int64_t wall_s) const {
  const bool sealed = wire_ == Wire::kSealed;
  // A stamp that our clock would not let in any more: it was set back, and what
  // it said before tells nothing.
  const auto is_void = [&](std::int64_t unix_s) {
    return unix_s > wall_s + options_.skew_tolerance_s;
  };
  if (known != nullptr) {
    const std::int64_t unix_s = known->last.unix_s;
    if (sealed) return announce.sequence <= known->last.sequence;
    if (is_void(unix_s)) return false;
    return announce.unix_s < unix_s ||
           (announce.unix_s == unix_s &&
            now_ms - known->stamp_since_ms > kStampLife_ms);
  }
  return std::any_of(gone_.begin(), gone_.end(), [&](const Gone& each) {
    if (each.uuid != announce.uuid) return false;
    return sealed ? announce.sequence <= each.sequence
                  : announce.unix_s <= each.unix_s && !is_void(each.unix_s);
  });
}

Election::Verdict Election::on_announce(const Announce& announce,
                                        std::string_view from,
                                        std::int64_t now_ms,
                                        std::int64_t arrived_ms,
                                        std::int64_t wall_s) {
  // First of all what time has done meanwhile: a process that was stopped must
  // not act as the Lord that it was.
  advance(now_ms, wall_s);
  if (announce.uuid == uuid_) return Verdict::kOwn;
  if (wire_ == Wire::kUwsgi) {
    const std::int64_t low = wall_s - options_.skew_tolerance_s;
    const std::int64_t high = wall_s + options_.skew_tolerance_s;
    if (announce.unix_s < low || announce.unix_s > high) return Verdict::kSkew;
  }
  MemberView* member = find(announce.uuid);
  // Whoever speaks the sealed wire is not to be imitated on the other.
  if (member != nullptr && member->last.sealed && !announce.sealed) {
    return Verdict::kWeaker;
  }
  if (is_replayed(announce, member, now_ms, wall_s)) return Verdict::kReplayed;
  if (announce.dead) {
    MemberView gone;
    gone.last = announce;
    if (member != nullptr) {
      member->last = announce;
      remove(static_cast<std::size_t>(member - members_.data()),
             Why::kDied);
    } else {
      remember_gone(gone);
    }
    if (promise_.uuid == announce.uuid) promise_ = {};
    evaluate(now_ms, wall_s);
    return Verdict::kTaken;
  }
  if (member == nullptr) {
    if (members_.size() == kMembersMax && !make_room()) return Verdict::kFull;
    member = &members_.emplace_back();
    member->first_ms = now_ms;
    dirty_ = true;
  }
  update(*member, announce, from, now_ms, arrived_ms);
  // What was recorded in a former life asks for nothing.
  if (announce.hurry && member->counted) asked_ = true;
  evaluate(now_ms, wall_s);
  return Verdict::kTaken;
}

void Election::update(MemberView& member, const Announce& announce,
                      std::string_view from, std::int64_t now_ms,
                      std::int64_t arrived_ms) {
  const bool was_lord = member.last.lord_since_s > 0;
  if (announce.unix_s != member.last.unix_s) {
    member.stamp_since_ms = now_ms;
  }
  member.last = announce;
  member.from = from;
  member.heard_ms = std::max(member.heard_ms, arrived_ms);
  member.heard_late_ms = now_ms;
  const bool alone = announce.checksum ==
                     checksum_part(announce.valor, announce.uuid);
  if (alone && !member.alone) member.alone_since_ms = now_ms;
  if (!alone && announce.checksum != 0) member.was_with_us = true;
  member.alone = alone;
  if (wire_ == Wire::kSealed) {
    update_echo(member);
  } else {
    update_promise(announce, 0);
    const bool for_us = announce.vote.uuid == uuid_;
    if (role_ == Role::kLord && !for_us && !announce.vote.uuid.empty()) {
      member.strayed_ms = now_ms;
    }
    // Whoever it voted for meanwhile may count that for as long as we would.
    const bool is_back =
        role_ != Role::kLord ||
        now_ms - member.strayed_ms >= options_.tolerance_ms;
    member.lease_ms = for_us && is_back
                          ? member.heard_ms + lease_length_ms(member)
                          : kNever;
  }
  if (was_lord && announce.lord_since_s == 0 && contested_) {
    contested_ = false;
    if (role_ == Role::kLord) act(Action::Kind::kContest);
  }
  if (announce.lord_since_s > 0 && role_ == Role::kLord) contested_ = true;
}

// Which of our packets it has, and so until when its vote for us holds.
void Election::update_echo(MemberView& member) {
  std::uint64_t echoed = 0;
  for (const Heard& each : member.last.heard) {
    if (each.uuid == uuid_) echoed = each.sequence;
  }
  update_promise(member.last, echoed);
  const std::int64_t at_ms = sent_at(echoed);
  if (at_ms != kNever) member.echo_ms = std::max(member.echo_ms, at_ms);
  const bool for_us = member.last.vote.uuid == uuid_ &&
                      echoed >= standing_since_ && !member.last.unbound &&
                      !is_mismatched(member);
  member.lease_ms =
      for_us && at_ms != kNever ? at_ms + lease_length_ms(member) : kNever;
}

// Whatever we promised to it, it does not count on if it votes for another, or if
// it has a later packet of ours, without that vote: it takes none that is older.
void Election::update_promise(const Announce& announce, std::uint64_t echoed) {
  if (promise_.uuid != announce.uuid) return;
  if (announce.vote.uuid != announce.uuid ||
      (announce.idle && echoed > promise_.sequence)) {
    promise_ = {};
  }
}

std::int64_t Election::sent_at(std::uint64_t sequence) const {
  const auto found =
      std::lower_bound(sent_.begin(), sent_.end(), sequence,
                       [](const Sent& own, std::uint64_t wanted) {
                         return own.sequence < wanted;
                       });
  return found == sent_.end() || found->sequence != sequence ? kNever
                                                             : found->at_ms;
}

std::int64_t Election::lease_length_ms(const MemberView& voter) const {
  std::int64_t tolerance_ms = options_.tolerance_ms;
  if (wire_ == Wire::kSealed) {
    tolerance_ms = std::min(tolerance_ms, voter.last.tolerance_ms);
    return tolerance_ms - tolerance_ms / 20;
  }
  return tolerance_ms - std::min(options_.freq_ms, tolerance_ms * 3 / 16);
}

// The process at this address was started anew: its former self is no voter
// beside it. Only for those who have proved to be alive.
void Election::replace_former_self(const MemberView& member) {
  const Uuid uuid = member.last.uuid;
  const std::string from = member.from;
  for (std::size_t i = members_.size(); i-- > 0;) {
    const MemberView& other = members_[i];
    if (other.last.uuid == uuid || other.from != from) continue;
    if (other.heard_late_ms > member.first_ms) continue;
    remove(i, Why::kRestarted);
  }
}

// Sealed wire: only of those that ever proved to hear us, so that packets of
// former lives, of which somebody may have recorded any number, push nobody out.
void Election::remember_gone(const MemberView& member) {
  if (wire_ == Wire::kSealed && member.echo_ms == kNever) return;
  std::erase_if(gone_, [&](const Gone& each) {
    return each.uuid == member.last.uuid;
  });
  gone_.push_back({member.last.uuid, member.last.sequence, member.last.unix_s});
  if (gone_.size() > kGoneKept) gone_.pop_front();
}

void Election::remove(std::size_t index, Why why) {
  MemberView& member = members_[index];
  remember_gone(member);
  if (member.announced) {
    actions_.push_back(
        {Action::Kind::kNodeLeft, std::move(member.last), why});
  }
  members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(index));
  if (contested_) {
    contested_ = false;
    if (role_ == Role::kLord) act(Action::Kind::kContest);
  }
}

// The oldest of those that proved nothing makes room: packets recorded in former
// lives must not shut out who lives.
bool Election::make_room() {
  std::size_t oldest = members_.size();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].counted || members_[i].announced) continue;
    if (oldest == members_.size() ||
        members_[i].first_ms < members_[oldest].first_ms) {
      oldest = i;
    }
  }
  if (oldest == members_.size()) return false;
  remove(oldest, Why::kCrowdedOut);
  return true;
}

void Election::evaluate(std::int64_t now_ms, std::int64_t wall_s) {
  expire(now_ms);
  count_members(now_ms);
  if (role_ == Role::kLord) keep_or_step_down(now_ms);
  vote_anew(now_ms);
  maybe_become_lord(now_ms, wall_s);
  note_join();
}

void Election::expire(std::int64_t now_ms) {
  for (std::size_t i = members_.size(); i-- > 0;) {
    if (now_ms - members_[i].heard_ms >= options_.tolerance_ms) {
      remove(i, Why::kSilent);
    }
  }
}

void Election::count_members(std::int64_t now_ms) {
  std::uint64_t sum = checksum_part(valor(now_ms), uuid_);
  std::uint64_t links = 1;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    MemberView& each = members_[i];
    const bool mismatched = is_mismatched(each);
    each.counted = wire_ == Wire::kSealed
                       ? !mismatched &&
                             now_ms - each.echo_ms < options_.tolerance_ms
                       : !each.alone || has_grace(each, now_ms);
    each.linked = each.counted && (wire_ == Wire::kUwsgi ||
                                   (now_ms - each.echo_ms < link_ms() &&
                                    each.last.links > 0));
    if (mismatched && !each.mismatch_said) {
      actions_.push_back({Action::Kind::kMismatch, each.last, Why::kNone});
    }
    each.mismatch_said = mismatched;
    if (!each.counted) continue;
    sum += checksum_part(each.last.valor, each.last.uuid);
    if (each.linked) ++links;
    if (each.announced) continue;
    each.announced = true;
    actions_.push_back({Action::Kind::kNodeJoined, each.last, Why::kNone});
  }
  if (wire_ == Wire::kSealed) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (!members_[i].counted) continue;
      const std::size_t before = members_.size();
      replace_former_self(members_[i]);
      if (members_.size() != before) return count_members(now_ms);
    }
  }
  if (is_newborn(now_ms)) links = 0;
  if (sum != checksum_ || links != links_) dirty_ = true;
  checksum_ = sum;
  links_ = links;
}

// uwsgi wire: who hears nobody may just have come, and then hears us soon. Who was
// with us does not any more, unless the others have lost each other too.
bool Election::has_grace(const MemberView& member, std::int64_t now_ms) const {
  if (now_ms - member.alone_since_ms >= options_.tolerance_ms) return false;
  return !member.was_with_us ||
         std::none_of(members_.begin(), members_.end(),
                      [](const auto& each) { return !each.alone; });
}

std::int64_t Election::link_ms() const {
  return options_.tolerance_ms * kLinkQuarters / 4;
}

// Another tolerance is another promise, and another quorum may be half of ours.
bool Election::is_mismatched(const MemberView& member) const {
  return wire_ == Wire::kSealed &&
         (member.last.tolerance_ms != options_.tolerance_ms ||
          member.last.quorum != options_.quorum);
}

// On the sealed wire a member whose hooks failed is an arbiter meanwhile: its
// vote may be needed.
std::uint64_t Election::valor(std::int64_t now_ms) const {
  return wire_ == Wire::kSealed && suspended(now_ms) ? 0 : options_.valor;
}

// Until when the others' votes for us hold, one of an address: a process that was
// started anew, and again, has one vote. (In a multicast group, `from` tells
// nothing; on the sealed wire it need not, since who has just started is silent
// until what it said before counts no more.)
std::vector<std::int64_t> Election::leases() const {
  std::vector<std::int64_t> out;
  std::vector<std::string_view> from;
  for (const MemberView& each : members_) {
    if (each.lease_ms == kNever || is_mismatched(each)) continue;
    const auto known = std::find(from.begin(), from.end(), each.from);
    if (known == from.end()) {
      from.push_back(each.from);
      out.push_back(each.lease_ms);
    } else {
      auto& lease_ms = out[static_cast<std::size_t>(known - from.begin())];
      lease_ms = std::max(lease_ms, each.lease_ms);
    }
  }
  return out;
}

// Votes for us that hold at this time, our own included.
std::uint64_t Election::leased_votes(std::int64_t now_ms) const {
  const auto until = leases();
  return 1 + static_cast<std::uint64_t>(
                 std::count_if(until.begin(), until.end(), [&](auto lease_ms) {
                   return lease_ms > now_ms;
                 }));
}

std::int64_t Election::lease_until_ms() const {
  if (options_.quorum <= 1) return INT64_MAX;
  std::vector<std::int64_t> until = leases();
  const std::uint64_t needed = options_.quorum - 1;
  if (until.size() < needed) return kNever;
  const auto nth = until.begin() + static_cast<std::ptrdiff_t>(needed - 1);
  std::nth_element(until.begin(), nth, until.end(), std::greater<>());
  return *nth;
}

void Election::keep_or_step_down(std::int64_t now_ms) {
  if (leaving_) return step_down(Why::kLeaving);
  if (suspended(now_ms)) return step_down(Why::kHooksFailed);
  if (options_.valor == 0) return step_down(Why::kArbiter);
  if (leased_votes(now_ms) < options_.quorum) return step_down(Why::kQuorumLost);
  const Vote vote = best(now_ms);
  if (!is_better(vote, {options_.valor, uuid_})) return;
  const MemberView* const other = find(vote.uuid);
  if (other != nullptr && is_ready(*other)) step_down(Why::kBetterMember);
}

void Election::step_down(Why why) {
  role_ = Role::kYielding;
  lord_since_s_ = 0;
  contested_ = false;
  dirty_ = true;
  act(Action::Kind::kUnlord, why);
}

// It sees the Legion as we do, and could be Lord if it were let.
bool Election::is_ready(const MemberView& member) const {
  return wire_ == Wire::kSealed ? member.last.links >= options_.quorum
                                : member.last.checksum == checksum_;
}

bool Election::may_stand(std::int64_t now_ms) const {
  if (options_.valor == 0 || leaving_ || suspended(now_ms)) return false;
  if (wire_ == Wire::kUwsgi) return true;
  return links_ >= options_.quorum;
}

// Sealed wire: our former life may have promised a vote that still counts.
bool Election::is_newborn(std::int64_t now_ms) const {
  return wire_ == Wire::kSealed && options_.quorum > 1 &&
         now_ms - started_ms_ < options_.tolerance_ms;
}

// Sealed wire: when we may bind ourselves to another for the first time. Who was
// started together with us has said by then whether it stands.
std::int64_t Election::first_bound_ms() const {
  return options_.quorum > 1 ? started_ms_ + options_.tolerance_ms +
                                   options_.freq_ms / kSettlePart
                             : started_ms_;
}

// The best that may be Lord, ourselves included; nobody where there is none.
Vote Election::best(std::int64_t now_ms) const {
  Vote found;
  if (may_stand(now_ms)) found = {options_.valor, uuid_};
  for (const MemberView& each : members_) {
    if (!each.linked || each.last.valor == 0) continue;
    if (wire_ == Wire::kSealed && each.last.links < options_.quorum) continue;
    const Vote vote{each.last.valor, each.last.uuid};
    if (is_better(vote, found)) found = vote;
  }
  return found;
}

// Somebody who says that he is Lord, and to whom we may keep.
const MemberView* Election::standing_lord() const {
  const MemberView* found = nullptr;
  for (const MemberView& each : members_) {
    if (!each.counted || each.last.lord_since_s == 0 || each.last.valor == 0 ||
        each.last.vote.uuid != each.last.uuid) {
      continue;
    }
    if (each.last.uuid == promise_.uuid) return &each;
    if (found == nullptr ||
        is_better({each.last.valor, each.last.uuid},
                  {found->last.valor, found->last.uuid})) {
      found = &each;
    }
  }
  return found;
}

Vote Election::choose(std::int64_t now_ms) const {
  if (role_ != Role::kFollower) return {options_.valor, uuid_};
  if (leaving_ || is_newborn(now_ms)) return {};
  Vote wanted = best(now_ms);
  const MemberView* const lord = standing_lord();
  if (lord != nullptr) wanted = {lord->last.valor, lord->last.uuid};
  // The others have a moment to be heard first.
  const bool settled = now_ms - started_ms_ >= 2 * options_.freq_ms;
  if (wanted.uuid == uuid_ && !settled) return {};
  if (wire_ == Wire::kUwsgi) return wanted;
  if (wanted.uuid != uuid_ && now_ms < first_bound_ms()) return {};
  if (wanted.uuid != promise_.uuid && now_ms < promise_.until_ms) return {};
  return wanted;
}

void Election::vote_anew(std::int64_t now_ms) {
  const Vote vote = choose(now_ms);
  if (vote == vote_) return;
  if (vote_.uuid == uuid_ && vote.uuid != uuid_) {
    // Whoever voted for us up to now is free once he hears this.
    for (MemberView& each : members_) each.lease_ms = kNever;
  }
  if (vote.uuid == uuid_ && vote_.uuid != uuid_) {
    standing_since_ = sequence_ + 1;
    if (wire_ == Wire::kSealed) {
      for (MemberView& each : members_) each.lease_ms = kNever;
    } else {
      for (MemberView& each : members_) {
        if (each.last.vote.uuid == uuid_) {
          each.lease_ms = each.heard_ms + lease_length_ms(each);
        }
      }
    }
  }
  vote_ = vote;
  dirty_ = true;
}

// uwsgi wire: every known member reports our checksum and our vote.
bool Election::all_agree() const {
  return !vote_.uuid.empty() &&
         std::all_of(members_.begin(), members_.end(), [&](const auto& each) {
           return !each.counted || (each.last.checksum == checksum_ &&
                                    each.last.vote == vote_);
         });
}

std::uint64_t Election::agreeing_votes() const {
  if (vote_.uuid.empty()) return 0;
  return 1 + static_cast<std::uint64_t>(std::count_if(
                 members_.begin(), members_.end(), [&](const auto& each) {
                   return each.counted && each.last.vote == vote_;
                 }));
}

std::uint64_t Election::votes() const { return agreeing_votes(); }

bool Election::has_quorum() const {
  if (agreeing_votes() < options_.quorum) return false;
  return wire_ == Wire::kSealed || role_ == Role::kLord || all_agree();
}

void Election::maybe_become_lord(std::int64_t now_ms, std::int64_t wall_s) {
  if (role_ != Role::kFollower || vote_.uuid != uuid_) return;
  if (!may_stand(now_ms) || leased_votes(now_ms) < options_.quorum) return;
  if (wire_ == Wire::kUwsgi && !all_agree()) return;
  role_ = Role::kLord;
  lord_since_s_ = std::max<std::int64_t>(wall_s, 1);
  dirty_ = true;
  contested_ = std::any_of(members_.begin(), members_.end(), [](const auto& m) {
    return m.last.lord_since_s > 0;
  });
  if (!joined_) note_join();
  act(Action::Kind::kLord);
}

void Election::note_join() {
  if (joined_ || !has_quorum()) return;
  if (wire_ == Wire::kSealed && lord() == nullptr) return;
  joined_ = true;
  act(Action::Kind::kJoin);
}

const Uuid* Election::lord() const {
  if (role_ == Role::kLord) return &uuid_;
  if (vote_.uuid.empty() || vote_.uuid == uuid_) return nullptr;
  const MemberView* const member = find(vote_.uuid);
  return member != nullptr && member->last.lord_since_s > 0
             ? &member->last.uuid
             : nullptr;
}

void Election::on_lorded(bool ok, std::int64_t now_ms, std::int64_t wall_s) {
  if (ok) hook_failures_ = 0;
  if (!ok && options_.death_on_lord_error_ms > 0 && role_ == Role::kLord) {
    // It takes over from the next one each time: not for ever at the same pace.
    std::int64_t pause_ms = options_.death_on_lord_error_ms;
    for (int i = 0; i < hook_failures_ && pause_ms < kSuspendedMost_ms; ++i) {
      pause_ms = std::min(2 * pause_ms, kSuspendedMost_ms);
    }
    ++hook_failures_;
    suspended_until_ms_ = now_ms + pause_ms;
  }
  advance(now_ms, wall_s);
}

void Election::on_unlorded(std::int64_t now_ms, std::int64_t wall_s) {
  FEALTY_CHECK(role_ == Role::kYielding);
  role_ = Role::kFollower;
  dirty_ = true;
  advance(now_ms, wall_s);
}

void Election::reconfigure(const ElectionOptions& options, std::int64_t now_ms,
                           std::int64_t wall_s) {
  options_ = options;
  hook_failures_ = 0;
  suspended_until_ms_ = kNever;
  dirty_ = true;
  advance(now_ms, wall_s);
}

void Election::leave(std::int64_t now_ms, std::int64_t wall_s) {
  leaving_ = true;
  evaluate(now_ms, wall_s);
}

// Whoever hears a stamp that is older than the last one takes it for a repetition.
// So after a step of the wall clock back, ours go on a little slower until it has
// caught up; unless nobody would take such stamps either.
std::int64_t Election::stamp_s(std::int64_t now_ms, std::int64_t wall_s) {
  const std::int64_t wall_ms = wall_s * 1'000;
  if (stamp_ms_ > wall_ms) stamp_ms_ += (now_ms - last_sent_ms_) * 7 / 8;
  if (stamp_ms_ < wall_ms ||
      stamp_ms_ - wall_ms > options_.skew_tolerance_s * 1'000) {
    stamp_ms_ = wall_ms;
  }
  return stamp_ms_ / 1'000;
}

Announce Election::make_announce(std::int64_t now_ms, std::int64_t wall_s) {
  Announce out;
  out.legion = legion_;
  out.valor = valor(now_ms);
  out.unix_s = stamp_s(now_ms, wall_s);
  out.lord_since_s = lord_since_s_;
  out.name = host_;
  out.pid = pid_;
  out.uuid = uuid_;
  out.checksum = checksum_;
  out.vote = vote_;
  out.scroll = options_.scroll;
  out.dead = role_ == Role::kFollower &&
             (leaving_ || (wire_ == Wire::kUwsgi && suspended(now_ms)));
  out.sequence = ++sequence_;
  out.links = links_;
  out.idle = role_ == Role::kFollower;
  out.hurry = hurries(now_ms);
  out.tolerance_ms = options_.tolerance_ms;
  out.quorum = options_.quorum;
  out.unbound = wire_ == Wire::kUwsgi;
  for (const MemberView& each : members_) {
    out.heard.push_back({each.last.uuid, each.last.sequence});
  }
  sent_.push_back({sequence_, now_ms});
  if (sent_.size() > kSentKept) sent_.pop_front();
  if (const MemberView* voted = find(vote_.uuid); voted != nullptr) {
    // One that was for longer, by a tolerance that was longer, holds.
    const std::int64_t before_ms =
        promise_.uuid == vote_.uuid ? promise_.until_ms : kNever;
    promise_ = {vote_.uuid,
                std::max(before_ms,
                         voted->heard_late_ms + options_.tolerance_ms),
                sequence_};
  }
  last_sent_ms_ = now_ms;
  dirty_ = false;
  asked_ = false;
  return out;
}

std::string Election::why_no_quorum(std::int64_t now_ms) const {
  if (has_quorum()) return {};
  const std::string needed = std::to_string(options_.quorum);
  if (suspended(now_ms)) return "this member is dead after a failed lord hook";
  const std::string differ = mismatches();
  std::uint64_t counted = 1;
  std::uint64_t disagree = 0;
  for (const MemberView& each : members_) {
    if (!each.counted) continue;
    ++counted;
    if (each.last.checksum != checksum_) ++disagree;
  }
  if (counted < options_.quorum) {
    return "only " + std::to_string(counted) + " member(s) are here, " +
           needed + " votes are needed" + differ;
  }
  if (vote_.uuid.empty()) {
    return is_newborn(now_ms)
               ? std::string("this member has just started and listens first")
               : "nobody here may be Lord, or a vote is still bound" + differ;
  }
  if (wire_ == Wire::kUwsgi && disagree > 0) {
    return std::to_string(disagree) +
           " member(s) do not see the Legion as this one does";
  }
  return "only " + std::to_string(agreeing_votes()) + " vote(s) for " +
         std::string(vote_.uuid.text()) + ", " + needed + " are needed" +
         differ;
}

std::string Election::mismatches() const {
  std::string out;
  for (const MemberView& each : members_) {
    if (!is_mismatched(each)) continue;
    out += "; " + log::printable(each.last.name) + " is not counted: its tolerance is " +
           std::to_string(each.last.tolerance_ms) + " ms (here " +
           std::to_string(options_.tolerance_ms) + "), its quorum " +
           std::to_string(each.last.quorum) + " (here " +
           std::to_string(options_.quorum) + ")";
  }
  return out;
}

std::string_view to_string(Why why) {
  switch (why) {
    case Why::kNone: return "";
    case Why::kLeaving: return "leaving the Legion";
    case Why::kHooksFailed: return "its hooks failed";
    case Why::kArbiter: return "it is an arbiter now";
    case Why::kQuorumLost: return "quorum lost";
    case Why::kBetterMember: return "a better member is here";
    case Why::kDied: return "announced its death";
    case Why::kSilent: return "was not heard";
    case Why::kRestarted: return "was started anew";
    case Why::kCrowdedOut: return "proved nothing and made room";
  }
  return "unknown";
}

std::string_view to_string(Election::Verdict verdict) {
  switch (verdict) {
    case Election::Verdict::kTaken: return "taken";
    case Election::Verdict::kOwn: return "own";
    case Election::Verdict::kSkew: return "skew";
    case Election::Verdict::kReplayed: return "replayed";
    case Election::Verdict::kFull: return "full";
    case Election::Verdict::kWeaker: return "weaker_wire";
  }
  return "unknown";
}

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kFollower: return "follower";
    case Role::kLord: return "lord";
    case Role::kYielding: return "yielding";
  }
  return "unknown";
}

}  // namespace fealty::legion
