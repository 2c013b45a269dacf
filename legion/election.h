#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "legion/announce.h"

namespace fealty::legion {

// Who is the Lord: a pure state machine. It reads no clock and opens no socket;
// whoever drives it (legion/member.h, tests/sim) passes the time in and does
// what take_actions() says. `now_ms` is of a clock that never goes back and
// counts while the machine sleeps (CLOCK_BOOTTIME); `wall_s` is seconds since
// 1970 and may jump. One thread; no bound on how long it lives.
//
// Both wires:
//  * A member not heard for the tolerance has left. The best is the one with the
//    highest valor, the greater uuid where that is equal; arbiters never.
//  * The Lord stays as long as a quorum of votes for it, its own included, is
//    covered by leases; it steps down at once when it is not, by the monotonic
//    clock, whatever else it was about to do.
//  * The Lord gives up for a better member only when that one sees the Legion
//    too, and votes for it only after on_unlorded(): what it holds is given back
//    before anybody is told to take it.
//
// The uwsgi wire (real uWSGI may be a member): becoming Lord needs that every
// known member reports the same checksum and the same vote, and that these reach
// the quorum. A vote's lease counts from when it came, and is shorter than the
// tolerance by an announcement's interval, or by 3/16 where that is less. One
// that comes back to a Lord after a vote for another does not keep it Lord for a
// tolerance.
//
// The sealed wire: each packet says which of our packets its sender has
// (Heard), so that a vote's lease counts from when we *sent* that packet. A
// voter binds itself for the tolerance from when it *got* that packet (its
// promise), which is later: two Lords at a time cannot be, as far as clocks run
// alike, whatever is lost, late, repeated or heard one way only. A member
// counts once it proved with an echo that it hears us; it may be Lord only if
// it has such links to a quorum, each proved within three quarters of the
// tolerance (linked), with members that vote. One that has just started may
// have promised in its former life, and what it promised may still be counted:
// it votes for nobody, a Lord that it finds included, for one tolerance. A
// member with another tolerance or quorum makes promises that are not ours: it
// is heard and not counted.
struct ElectionOptions {
  std::uint64_t valor = 0;
  std::uint64_t quorum = 1;
  std::int64_t freq_ms = 3'000;
  std::int64_t tolerance_ms = 15'000;
  std::int64_t skew_tolerance_s = 60;
  // How long a member whose lord hook failed does not stand; each failure after
  // another doubles it, up to an hour. 0: such a Lord stays.
  std::int64_t death_on_lord_error_ms = 30'000;
  std::string scroll;
};

// Another member as we see it.
struct MemberView {
  static constexpr std::int64_t kNever = INT64_MIN / 2;

  Announce last;                     // its newest packet
  std::string from;                  // where it came from
  std::int64_t heard_ms = 0;         // surely not after this was it silent
  std::int64_t heard_late_ms = 0;    // when we looked at its newest packet
  std::int64_t first_ms = 0;
  std::int64_t stamp_since_ms = 0;   // uwsgi wire: since when it says this `unix`
  std::int64_t alone_since_ms = 0;   // uwsgi wire: since when it hears nobody
  std::int64_t strayed_ms = kNever;  // uwsgi wire: when it voted for another Lord
  bool alone = false;
  bool was_with_us = false;          // it did hear somebody before
  std::int64_t echo_ms = kNever;     // when we sent the newest packet it has
  std::int64_t lease_ms = kNever;    // until when its vote for us counts
  bool counted = false;              // it is a member of the Legion as we see it
  bool linked = false;               // counted, has proved it lately, and votes
  bool announced = false;            // node_joined was said
  bool mismatch_said = false;        // sealed wire: kMismatch was
};

enum class Role : std::uint8_t {
  kFollower,
  kLord,       // what kLord's hooks give is held, or being taken
  kYielding,   // it is being given back
};

// Why a Lord is none any more, or a member has left.
enum class Why : std::uint8_t {
  kNone,
  kLeaving,
  kHooksFailed,
  kArbiter,
  kQuorumLost,
  kBetterMember,
  kDied,          // it said so
  kSilent,
  kRestarted,
  kCrowdedOut,    // it proved nothing, and another needed its place
};

struct Action {
  enum class Kind : std::uint8_t {
    kSend,         // announce now
    kLord,         // take the address; answer with on_lorded()
    kUnlord,       // give it back; answer with on_unlorded()
    kJoin,         // the first quorum
    kNodeJoined,   // `who`
    kNodeLeft,     // `who`
    kContest,      // somebody else held it too, and does not any more
    kMismatch,     // `who` has another tolerance or quorum, and is not counted
  };
  Kind kind;
  Announce who{};
  Why why = Why::kNone;
};

class Election {
 public:
  // What becomes of a packet.
  enum class Verdict : std::uint8_t {
    kTaken,
    kOwn,          // our own, by multicast
    kSkew,         // uwsgi wire: its stamp is too far from our clock
    kReplayed,     // older than what we have from that member
    kFull,         // kMembersMax are known already
    kWeaker,       // uwsgi's wire, of a member that was heard on the sealed one
  };

  Election(const ElectionOptions& options, Wire wire, std::string legion,
           std::string host, std::uint64_t pid, const Uuid& uuid,
           std::int64_t now_ms);

  // At any time: whatever time alone brings.
  void advance(std::int64_t now_ms, std::int64_t wall_s);
  // `arrived_ms`: the earliest time at which the packet may have come in; before
  // now_ms where it lay in a queue while we were stopped.
  [[nodiscard]] Verdict on_announce(const Announce& announce,
                                    std::string_view from, std::int64_t now_ms,
                                    std::int64_t arrived_ms,
                                    std::int64_t wall_s);
  // The hooks of kLord are done; `ok`: none failed.
  void on_lorded(bool ok, std::int64_t now_ms, std::int64_t wall_s);
  void on_unlorded(std::int64_t now_ms, std::int64_t wall_s);
  void reconfigure(const ElectionOptions& options, std::int64_t now_ms,
                   std::int64_t wall_s);
  // Steps down; from then on finished() says when the process may end.
  void leave(std::int64_t now_ms, std::int64_t wall_s);
  [[nodiscard]] bool finished() const {
    return leaving_ && role_ == Role::kFollower;
  }

  // What is to be sent now; counts as sent.
  [[nodiscard]] Announce make_announce(std::int64_t now_ms, std::int64_t wall_s);
  // What happened since the last call, in order.
  [[nodiscard]] std::vector<Action> take_actions() {
    return std::exchange(actions_, {});
  }
  // When advance() has something to do at the latest.
  [[nodiscard]] std::int64_t next_wake_ms(std::int64_t now_ms) const;

  [[nodiscard]] Role role() const { return role_; }
  // As Lord or yielding: until when we may hold the address, unless a vote comes.
  // INT64_MAX where the quorum is one.
  [[nodiscard]] std::int64_t lease_until_ms() const;
  [[nodiscard]] const Vote& vote() const { return vote_; }
  [[nodiscard]] const std::vector<MemberView>& members() const {
    return members_;
  }
  [[nodiscard]] const ElectionOptions& options() const { return options_; }
  [[nodiscard]] const Uuid& uuid() const { return uuid_; }
  [[nodiscard]] std::uint64_t checksum() const { return checksum_; }
  [[nodiscard]] std::int64_t lord_since_s() const { return lord_since_s_; }
  // Votes for whom we vote for, ours included; 0 while we vote for nobody.
  [[nodiscard]] std::uint64_t votes() const;
  [[nodiscard]] bool has_quorum() const;
  // The member that says that it is Lord and that we vote for; ourselves too.
  [[nodiscard]] const Uuid* lord() const;
  // Why nobody can be elected, for a person; empty where there is a quorum.
  [[nodiscard]] std::string why_no_quorum(std::int64_t now_ms) const;
  [[nodiscard]] bool suspended(std::int64_t now_ms) const {
    return now_ms < suspended_until_ms_;
  }
  [[nodiscard]] std::int64_t suspended_until_ms() const {
    return suspended_until_ms_;
  }

 private:
  // What we told a member that we voted for: until then nobody else gets ours.
  struct Promise {
    Uuid uuid;
    std::int64_t until_ms = MemberView::kNever;
    std::uint64_t sequence = 0;          // of our last packet with that vote
  };
  struct Gone {
    Uuid uuid;
    std::uint64_t sequence = 0;
    std::int64_t unix_s = 0;
  };
  struct Sent {
    std::uint64_t sequence = 0;
    std::int64_t at_ms = 0;
  };

  [[nodiscard]] MemberView* find(const Uuid& uuid);
  [[nodiscard]] const MemberView* find(const Uuid& uuid) const;
  [[nodiscard]] bool is_replayed(const Announce& announce,
                                 const MemberView* known, std::int64_t now_ms,
                                 std::int64_t wall_s) const;
  void update(MemberView& member, const Announce& announce,
              std::string_view from, std::int64_t now_ms,
              std::int64_t arrived_ms);
  void update_echo(MemberView& member);
  void update_promise(const Announce& announce, std::uint64_t echoed);
  void replace_former_self(const MemberView& member);
  void remove(std::size_t index, Why why);
  [[nodiscard]] bool make_room();
  void remember_gone(const MemberView& member);

  void evaluate(std::int64_t now_ms, std::int64_t wall_s);
  void expire(std::int64_t now_ms);
  void count_members(std::int64_t now_ms);
  [[nodiscard]] bool has_grace(const MemberView& member,
                               std::int64_t now_ms) const;
  void keep_or_step_down(std::int64_t now_ms);
  void step_down(Why why);
  void vote_anew(std::int64_t now_ms);
  [[nodiscard]] Vote choose(std::int64_t now_ms) const;
  [[nodiscard]] Vote best(std::int64_t now_ms) const;
  [[nodiscard]] const MemberView* standing_lord() const;
  [[nodiscard]] bool is_ready(const MemberView& member) const;
  [[nodiscard]] bool may_stand(std::int64_t now_ms) const;
  [[nodiscard]] bool all_agree() const;
  [[nodiscard]] std::vector<std::int64_t> leases() const;
  [[nodiscard]] std::uint64_t leased_votes(std::int64_t now_ms) const;
  [[nodiscard]] std::int64_t link_ms() const;
  [[nodiscard]] bool is_mismatched(const MemberView& member) const;
  [[nodiscard]] std::uint64_t valor(std::int64_t now_ms) const;
  [[nodiscard]] std::string mismatches() const;
  [[nodiscard]] std::uint64_t agreeing_votes() const;
  void maybe_become_lord(std::int64_t now_ms, std::int64_t wall_s);
  void note_join();
  [[nodiscard]] std::int64_t lease_length_ms(const MemberView& voter) const;
  [[nodiscard]] bool hurries(std::int64_t now_ms) const;
  [[nodiscard]] bool is_newborn(std::int64_t now_ms) const;
  [[nodiscard]] std::int64_t first_bound_ms() const;
  [[nodiscard]] std::int64_t stamp_s(std::int64_t now_ms, std::int64_t wall_s);
  [[nodiscard]] std::int64_t sent_at(std::uint64_t sequence) const;
  void act(Action::Kind kind, Why why = Why::kNone) {
    actions_.push_back({kind, {}, why});
  }

  ElectionOptions options_;
  const Wire wire_;
  const std::string legion_;
  const std::string host_;
  const std::uint64_t pid_;
  const Uuid uuid_;
  const std::int64_t started_ms_;

  std::vector<MemberView> members_;
  std::deque<Gone> gone_;
  Role role_ = Role::kFollower;
  Vote vote_;
  Promise promise_;
  std::uint64_t checksum_ = 0;
  std::uint64_t links_ = 0;              // who is linked, and ourselves; see Announce
  std::int64_t lord_since_s_ = 0;
  std::int64_t suspended_until_ms_ = MemberView::kNever;
  int hook_failures_ = 0;                // of the lord hook, one after the other
  bool leaving_ = false;
  bool joined_ = false;
  bool contested_ = false;

  std::uint64_t sequence_ = 0;           // of the last packet
  std::uint64_t standing_since_ = 1;     // the first with a vote for ourselves
  std::deque<Sent> sent_;
  std::int64_t last_sent_ms_ = MemberView::kNever;
  std::int64_t stamp_ms_ = 0;            // of the last packet, since 1970
  bool dirty_ = true;                    // others should hear of a change
  bool asked_ = false;                   // somebody hurries
  std::vector<Action> actions_;
};

[[nodiscard]] std::string_view to_string(Election::Verdict verdict);
[[nodiscard]] std::string_view to_string(Role role);
[[nodiscard]] std::string_view to_string(Why why);

}  // namespace fealty::legion
