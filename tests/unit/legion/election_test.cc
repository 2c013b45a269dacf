#include "legion/election.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/legion/support.h"

namespace fealty::legion {
namespace {

using test::uuid_of;
using Kind = Action::Kind;
using Verdict = Election::Verdict;

constexpr std::int64_t kWall_s = 1'700'000'000;

ElectionOptions options(std::uint64_t valor, std::uint64_t quorum) {
  ElectionOptions options;
  options.valor = valor;
  options.quorum = quorum;
  options.freq_ms = 1'000;
  options.tolerance_ms = 3'000;
  return options;
}

// Members on one clock, whose packets arrive at once unless they are cut off.
class ElectionTest : public testing::Test {
 protected:
  struct Node {
    std::unique_ptr<Election> election;
    bool cut = false;
    std::vector<Kind> seen;
    std::vector<Announce> sent;
  };

  explicit ElectionTest(Wire wire = Wire::kUwsgi) : wire_(wire) {}

  Node& add(char uuid, std::uint64_t valor, std::uint64_t quorum) {
    auto node = std::make_unique<Node>();
    node->election = std::make_unique<Election>(
        options(valor, quorum), wire_, "l", "host", 1, uuid_of(uuid), now_ms_);
    nodes_.push_back(std::move(node));
    return *nodes_.back();
  }

  void run(std::int64_t ms) {
    for (const std::int64_t end_ms = now_ms_ + ms; now_ms_ < end_ms;) {
      now_ms_ += 10;
      for (const auto& node : nodes_) {
        if (!node->election) continue;
        node->election->advance(now_ms_, wall());
        act(*node);
      }
    }
  }
  void act(Node& node) {
    for (const Action& action : node.election->take_actions()) {
      node.seen.push_back(action.kind);
      if (action.kind == Kind::kUnlord && !holds_back_) {
        node.election->on_unlorded(now_ms_, wall());
        act(node);
      }
      if (action.kind == Kind::kSend) send(node);
    }
  }
  void send(Node& from) {
    const Announce announce = from.election->make_announce(now_ms_, wall());
    from.sent.push_back(announce);
    if (from.cut) return;
    for (const auto& node : nodes_) {
      if (node.get() == &from || !node->election || node->cut) continue;
      static_cast<void>(node->election->on_announce(
          announce, std::string(announce.uuid.text()), now_ms_, now_ms_, wall()));
      act(*node);
    }
  }
  Verdict give(Node& to, const Announce& announce, std::string_view from = "x") {
    const Verdict verdict =
        to.election->on_announce(announce, from, now_ms_, now_ms_, wall());
    act(to);
    return verdict;
  }
  std::int64_t wall() const {
    return kWall_s + now_ms_ / 1000 + wall_offset_s_;
  }
  static bool is_lord(const Node& node) {
    return node.election && node.election->role() == Role::kLord;
  }
  static std::ptrdiff_t count(const Node& node, Kind kind) {
    return std::count(node.seen.begin(), node.seen.end(), kind);
  }

  const Wire wire_;
  std::int64_t now_ms_ = 1'000'000;
  std::int64_t wall_offset_s_ = 0;
  bool holds_back_ = false;                 // unlord hooks take their time
  std::vector<std::unique_ptr<Node>> nodes_;
};

class SealedElectionTest : public ElectionTest {
 protected:
  SealedElectionTest() : ElectionTest(Wire::kSealed) {}
};

TEST_F(ElectionTest, HighestValorIsLord) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  run(5'000);
  EXPECT_TRUE(is_lord(high));
  EXPECT_FALSE(is_lord(low));
  EXPECT_EQ(low.election->vote().uuid, uuid_of('b'));
  EXPECT_EQ(low.election->votes(), 2U);
  ASSERT_NE(low.election->lord(), nullptr);
  EXPECT_EQ(*low.election->lord(), uuid_of('b'));
}

TEST_F(ElectionTest, EqualValorIsDecidedByTheGreaterUuid) {
  Node& one = add('f', 5, 2);
  Node& other = add('e', 5, 2);
  run(5'000);
  EXPECT_TRUE(is_lord(one));
  EXPECT_FALSE(is_lord(other));
}

TEST_F(ElectionTest, ArbitersVoteAndAreNeverLord) {
  Node& arbiter = add('z', 0, 2);
  Node& member = add('a', 1, 2);
  run(5'000);
  EXPECT_TRUE(is_lord(member));
  member.election.reset();
  run(10'000);
  EXPECT_FALSE(is_lord(arbiter));
  EXPECT_EQ(arbiter.election->vote(), Vote{});
}

TEST_F(ElectionTest, WithoutAQuorumNobodyIsLordAndItIsSaidWhy) {
  Node& alone = add('a', 1, 2);
  run(20'000);
  EXPECT_FALSE(is_lord(alone));
  EXPECT_EQ(alone.election->why_no_quorum(now_ms_),
            "only 1 member(s) are here, 2 votes are needed");
}

TEST_F(ElectionTest, QuorumOfOneIsReachedAloneOnceOthersCouldBeHeard) {
  Node& alone = add('a', 1, 1);
  run(1'900);
  EXPECT_FALSE(is_lord(alone));
  run(300);
  EXPECT_TRUE(is_lord(alone));
}

TEST_F(ElectionTest, ChecksumIsOfAllMembersValorsAndUuids) {
  Node& one = add('a', 1, 2);
  Node& other = add('b', 2, 2);
  run(3'000);
  const std::uint64_t sum = 1 + 36 * 'a' + 2 + 36 * 'b';
  EXPECT_EQ(one.election->checksum(), sum);
  EXPECT_EQ(other.election->checksum(), sum);
}

TEST_F(ElectionTest, MemberThatDiesIsReplacedAfterTheTolerance) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  add('c', 0, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(high));
  high.election.reset();
  run(1'900);
  EXPECT_FALSE(is_lord(low));
  run(1'400);
  EXPECT_TRUE(is_lord(low));
  EXPECT_EQ(count(low, Kind::kNodeLeft), 1);
}

TEST_F(ElectionTest, MemberThatLeavesIsReplacedAtOnce) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  add('c', 0, 2);
  run(5'000);
  high.election->leave(now_ms_, wall());
  act(high);
  ASSERT_TRUE(high.election->finished());
  send(high);
  EXPECT_TRUE(high.sent.back().dead);
  EXPECT_EQ(high.sent.back().lord_since_s, 0);
  high.election.reset();
  run(200);
  EXPECT_TRUE(is_lord(low));
}

TEST_F(ElectionTest, LordWithoutAQuorumStepsDownWithinTheTolerance) {
  add('a', 1, 2);
  Node& high = add('b', 2, 2);
  add('c', 0, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(high));
  high.cut = true;
  run(2'600);
  EXPECT_FALSE(is_lord(high));
}

TEST_F(ElectionTest, LordThatWasStoppedStepsDownBeforeAnythingElse) {
  add('a', 1, 2);
  Node& high = add('b', 2, 2);
  Node& arbiter = add('c', 0, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(high));
  Announce old = arbiter.sent.back();
  high.cut = true;
  Node stopped{std::move(high.election), false, {}, {}};
  run(10'000);
  // A packet that waited in the socket since then comes first.
  old.unix_s += 1;
  static_cast<void>(stopped.election->on_announce(old, "x", now_ms_,
                                                  now_ms_ - 10'000, wall()));
  const auto actions = stopped.election->take_actions();
  ASSERT_FALSE(actions.empty());
  const auto first = std::find_if(
      actions.begin(), actions.end(), [](const Action& action) {
        return action.kind == Kind::kUnlord || action.kind == Kind::kSend;
      });
  ASSERT_NE(first, actions.end());
  EXPECT_EQ(first->kind, Kind::kUnlord);
  stopped.election->on_unlorded(now_ms_, wall());
  EXPECT_EQ(stopped.election->role(), Role::kFollower);
}

TEST_F(ElectionTest, JoiningMemberDoesNotDisturbTheLord) {
  Node& lord = add('b', 2, 2);
  add('a', 1, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(lord));
  add('c', 1, 2);
  run(5'000);
  EXPECT_TRUE(is_lord(lord));
  EXPECT_EQ(count(lord, Kind::kLord), 1);
  EXPECT_EQ(count(lord, Kind::kUnlord), 0);
}

TEST_F(ElectionTest, BetterMemberTakesOverAndTheFormerLordGivesUpFirst) {
  Node& lord = add('a', 1, 2);
  add('c', 0, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(lord));
  holds_back_ = true;
  Node& better = add('b', 2, 2);
  run(5'000);
  EXPECT_EQ(lord.election->role(), Role::kYielding);
  EXPECT_FALSE(is_lord(better));
  EXPECT_EQ(lord.election->vote().uuid, uuid_of('a'));
  lord.election->on_unlorded(now_ms_, wall());
  holds_back_ = false;
  run(500);
  EXPECT_TRUE(is_lord(better));
}

TEST_F(ElectionTest, ValorThatRisesWinsWithoutARestart) {
  Node& lord = add('b', 2, 2);
  Node& other = add('a', 1, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(lord));
  other.election->reconfigure(options(9, 2), now_ms_, wall());
  run(3'000);
  EXPECT_TRUE(is_lord(other));
  EXPECT_FALSE(is_lord(lord));
}

TEST_F(ElectionTest, LordWhoseHooksFailIsDeadForATime) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  add('c', 0, 2);
  ElectionOptions changed = options(2, 2);
  changed.death_on_lord_error_ms = 6'000;
  high.election->reconfigure(changed, now_ms_, wall());
  run(5'000);
  ASSERT_TRUE(is_lord(high));
  high.election->on_lorded(false, now_ms_, wall());
  act(high);
  run(1'000);
  EXPECT_TRUE(high.sent.back().dead);
  EXPECT_TRUE(is_lord(low));
  EXPECT_EQ(high.election->why_no_quorum(now_ms_),
            "this member is dead after a failed lord hook");
  run(8'000);
  EXPECT_TRUE(is_lord(high));
}

TEST_F(ElectionTest, FailureAfterFailureDoublesTheTimeOfDeath) {
  Node& node = add('a', 1, 1);
  run(3'000);
  ASSERT_TRUE(is_lord(node));
  const auto fail = [&] {
    node.election->on_lorded(false, now_ms_, wall());
    act(node);
    const std::int64_t until_ms = node.election->suspended_until_ms();
    const std::int64_t pause_ms = until_ms - now_ms_;
    now_ms_ = until_ms;
    run(100);
    EXPECT_TRUE(is_lord(node));
    return pause_ms;
  };
  EXPECT_EQ(fail(), 30'000);
  EXPECT_EQ(fail(), 60'000);
  EXPECT_EQ(fail(), 120'000);
  for (int i = 0; i < 5; ++i) static_cast<void>(fail());
  EXPECT_EQ(fail(), 3'600'000);
  node.election->on_lorded(true, now_ms_, wall());
  EXPECT_EQ(fail(), 30'000);
  EXPECT_EQ(fail(), 60'000);
  node.election->reconfigure(options(1, 1), now_ms_, wall());
  EXPECT_EQ(fail(), 30'000);
}

TEST_F(ElectionTest, VotersInACrashLoopHaveOneVote) {
  Node& lord = add('z', 9, 3);
  Node& voter = add('a', 1, 3);
  Node& third = add('b', 1, 3);
  run(5'000);
  ASSERT_TRUE(is_lord(lord));
  const std::string from(uuid_of('a').text());
  third.election.reset();
  voter.election.reset();
  Announce again = voter.sent.back();
  for (char life = 'c'; life < 'w'; ++life) {
    again.uuid = uuid_of(life);
    again.unix_s = wall();
    static_cast<void>(give(lord, again, from));
    run(200);
    EXPECT_TRUE(!is_lord(lord) ||
                lord.election->lease_until_ms() < now_ms_ + 2'600);
  }
  EXPECT_FALSE(is_lord(lord));
}

TEST_F(ElectionTest, ClockThatStepsBackShutsNobodyOut) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(high));
  wall_offset_s_ = -30;               // of all: only the order of stamps matters
  run(20'000);
  EXPECT_TRUE(is_lord(high));
  EXPECT_EQ(count(high, Kind::kUnlord) + count(low, Kind::kNodeLeft), 0);
  EXPECT_GT(high.sent.back().unix_s, wall() + 20);
  run(300'000);
  EXPECT_EQ(high.sent.back().unix_s, wall());
  wall_offset_s_ = -3'000;            // of all, beyond the skew: what was is void
  run(2'000);
  EXPECT_EQ(high.sent.back().unix_s, wall());
  run(10'000);
  EXPECT_TRUE(is_lord(high));
  EXPECT_EQ(count(high, Kind::kUnlord) + count(low, Kind::kNodeLeft), 0);
}

TEST_F(ElectionTest, StampsFarFromOurClockAreRefused) {
  Node& node = add('a', 1, 2);
  Node& other = add('b', 2, 2);
  run(1'500);
  Announce announce = other.sent.back();
  for (const std::int64_t off_s : {-61, 61}) {
    announce.unix_s = wall() + off_s;
    EXPECT_EQ(give(node, announce), Verdict::kSkew);
  }
}

TEST_F(ElectionTest, RepeatedPacketsDoNotKeepADeadMemberAlive) {
  Node& low = add('a', 1, 1);
  Node& high = add('b', 2, 1);
  run(5'000);
  ASSERT_TRUE(is_lord(high));
  const std::vector<Announce> recorded = high.sent;
  high.election.reset();
  for (int i = 0; i < 50; ++i) {
    run(100);
    for (const Announce& each : recorded) static_cast<void>(give(low, each));
  }
  EXPECT_TRUE(is_lord(low));
  EXPECT_EQ(give(low, recorded.back()), Verdict::kReplayed);
}

TEST_F(ElectionTest, WhoSpeaksTheSealedWireIsNotHeardOnTheOther) {
  Node& node = add('a', 1, 2);
  run(100);
  Announce other = node.sent.back();
  other.uuid = uuid_of('b');
  EXPECT_EQ(give(node, other), Verdict::kTaken);
  other.sealed = true;
  EXPECT_EQ(give(node, other), Verdict::kTaken);
  other.sealed = false;
  other.dead = true;
  EXPECT_EQ(give(node, other), Verdict::kWeaker);
  EXPECT_EQ(node.election->members().size(), 1U);
}

TEST_F(ElectionTest, OwnPacketsComeBackByMulticast) {
  Node& node = add('a', 1, 2);
  run(2'000);
  EXPECT_EQ(give(node, node.sent.back()), Verdict::kOwn);
}

TEST_F(ElectionTest, MembersAreBounded) {
  Node& node = add('a', 1, 2);
  Announce announce = node.election->make_announce(now_ms_, wall());
  for (std::size_t i = 0; i < kMembersMax; ++i) {
    announce.uuid = Uuid::draw();
    EXPECT_EQ(give(node, announce), Verdict::kTaken);
  }
  announce.uuid = Uuid::draw();
  EXPECT_EQ(give(node, announce), Verdict::kFull);
}

TEST_F(ElectionTest, MemberThatHearsNobodyIsLeftOutInTheEnd) {
  Node& lord = add('a', 1, 2);
  add('b', 1, 2);
  // It announces itself and never hears anybody.
  Announce deaf;
  deaf.legion = "l";
  deaf.valor = 9;
  deaf.uuid = uuid_of('x');
  deaf.checksum = checksum_part(9, deaf.uuid);
  deaf.vote = {9, deaf.uuid};
  for (int i = 0; i < 100; ++i) {
    run(100);
    deaf.unix_s = wall();
    for (const auto& node : nodes_) static_cast<void>(give(*node, deaf));
  }
  EXPECT_TRUE(is_lord(*nodes_[1]) || is_lord(lord));
}

TEST_F(ElectionTest, TwoLordsThatMeetAgreeAndTheOneThatStaysReassertsItself) {
  Node& low = add('a', 1, 1);
  Node& high = add('b', 2, 1);
  low.cut = high.cut = true;
  run(4'000);
  ASSERT_TRUE(is_lord(low) && is_lord(high));
  low.cut = high.cut = false;
  run(3'000);
  EXPECT_TRUE(is_lord(high));
  EXPECT_FALSE(is_lord(low));
  EXPECT_EQ(count(high, Kind::kContest), 1);
}

TEST_F(SealedElectionTest, HighestValorIsLordOnceATolerancePassed) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  run(2'900);
  EXPECT_FALSE(is_lord(high));
  run(500);
  EXPECT_TRUE(is_lord(high));
  EXPECT_FALSE(is_lord(low));
}

TEST_F(SealedElectionTest, LordGivesUpBeforeAnotherTakes) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  add('c', 0, 2);
  run(6'000);
  ASSERT_TRUE(is_lord(high));
  high.cut = true;
  for (int i = 0; i < 400; ++i) {
    run(10);
    ASSERT_FALSE(is_lord(low) && high.election->role() != Role::kFollower);
  }
  EXPECT_TRUE(is_lord(low));
}

TEST_F(SealedElectionTest, ReplayedAndOldPacketsAreRefused) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  add('c', 0, 2);
  run(6'000);
  ASSERT_TRUE(is_lord(high));
  const std::vector<Announce> recorded = high.sent;
  high.election.reset();
  for (int i = 0; i < 33; ++i) {
    run(100);
    for (const Announce& each : recorded) {
      EXPECT_EQ(give(low, each), Verdict::kReplayed);
    }
  }
  EXPECT_TRUE(is_lord(low));
  EXPECT_EQ(give(low, recorded.back()), Verdict::kReplayed);
}

TEST_F(SealedElectionTest, RecordedMemberIsNoMemberForWhoeverStartsLater) {
  add('a', 1, 2);
  Node& high = add('b', 2, 2);
  run(6'000);
  const std::vector<Announce> recorded = high.sent;
  Node& late = add('c', 1, 2);
  high.election.reset();
  nodes_[0]->election.reset();
  for (const Announce& each : recorded) {
    run(50);
    static_cast<void>(give(late, each));
    EXPECT_EQ(late.election->votes(), 0U);
    for (const MemberView& member : late.election->members()) {
      EXPECT_FALSE(member.counted);
    }
  }
  EXPECT_EQ(count(late, Kind::kNodeJoined), 0);
}

TEST_F(SealedElectionTest, MemberHeardOneWayOnlyIsNotCounted) {
  Node& low = add('a', 1, 2);
  add('c', 0, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(low));
  Announce deaf;
  deaf.valor = 9;
  deaf.uuid = uuid_of('x');
  deaf.links = 3;
  for (int i = 0; i < 50; ++i) {
    run(100);
    ++deaf.sequence;
    static_cast<void>(give(low, deaf));
  }
  EXPECT_TRUE(is_lord(low));
  EXPECT_EQ(low.election->votes(), 2U);
}

TEST_F(SealedElectionTest, RestartedProcessDoesNotVoteTwice) {
  Node& lord = add('a', 9, 3);
  Node& voter = add('b', 1, 3);
  Node& third = add('c', 1, 3);
  run(6'000);
  ASSERT_TRUE(is_lord(lord));
  // It is started anew at the same address, while the third falls silent.
  third.election.reset();
  const Announce former = voter.sent.back();
  voter.election = std::make_unique<Election>(options(1, 3), wire_, "l", "host",
                                              1, uuid_of('d'), now_ms_);
  for (int i = 0; i < 300 && is_lord(lord); ++i) {
    run(10);
    // Its packets come from where its former self was.
    const Announce announce = voter.election->make_announce(now_ms_, wall());
    static_cast<void>(
        give(lord, announce, std::string(former.uuid.text())));
  }
  EXPECT_FALSE(is_lord(lord));
}

TEST_F(SealedElectionTest, MemberThatHasJustStartedVotesForNobodyForATolerance) {
  Node& lord = add('b', 2, 2);
  add('a', 1, 2);
  run(6'000);
  ASSERT_TRUE(is_lord(lord));
  Node& late = add('c', 1, 2);
  run(2'900);
  EXPECT_EQ(late.election->vote(), Vote{});
  run(500);
  EXPECT_EQ(late.election->vote().uuid, uuid_of('b'));
}

// In a multicast group packets do not tell whose address they came from.
TEST_F(SealedElectionTest, VotersInACrashLoopDoNotKeepALord) {
  Node& lord = add('z', 9, 3);
  Node& voter = add('a', 1, 3);
  Node& third = add('b', 1, 3);
  run(6'000);
  ASSERT_TRUE(is_lord(lord));
  third.election.reset();
  for (char life = 'c'; life < 'm'; ++life) {
    voter.election = std::make_unique<Election>(options(1, 3), wire_, "l", "host",
                                                1, uuid_of(life), now_ms_);
    run(800);
  }
  EXPECT_FALSE(is_lord(lord));
}

TEST_F(SealedElectionTest, AnotherToleranceOrQuorumIsNotCountedAndSaid) {
  for (const bool quorum : {false, true}) {
    nodes_.clear();
    Node& node = add('a', 1, 2);
    Node& other = add('b', 2, 2);
    ElectionOptions changed = options(2, quorum ? 1 : 2);
    if (!quorum) changed.tolerance_ms = 15'000;
    other.election->reconfigure(changed, now_ms_, wall());
    run(20'000);
    EXPECT_FALSE(is_lord(node));
    EXPECT_EQ(count(node, Kind::kMismatch), 1);
    EXPECT_EQ(count(node, Kind::kNodeJoined), 0);
    EXPECT_EQ(node.election->why_no_quorum(now_ms_),
              quorum ? "only 1 member(s) are here, 2 votes are needed; host is "
                       "not counted: its tolerance is 3000 ms (here 3000), its "
                       "quorum 1 (here 2)"
                     : "only 1 member(s) are here, 2 votes are needed; host is "
                       "not counted: its tolerance is 15000 ms (here 3000), its "
                       "quorum 2 (here 2)");
    other.election->reconfigure(options(2, 2), now_ms_, wall());
    run(8'000);
    EXPECT_TRUE(is_lord(other));
  }
}

TEST_F(SealedElectionTest, LordLosesTheVotesOfWhoChangesTheQuorum) {
  Node& lord = add('b', 2, 2);
  Node& voter = add('a', 1, 2);
  run(6'000);
  ASSERT_TRUE(is_lord(lord));
  voter.election->reconfigure(options(1, 3), now_ms_, wall());
  run(100);
  EXPECT_FALSE(is_lord(lord));
}

TEST_F(SealedElectionTest, VotesThatAreNoPromisesCountForNothing) {
  Node& lord = add('b', 2, 2);
  Node& voter = add('a', 1, 2);
  run(6'000);
  ASSERT_TRUE(is_lord(lord));
  Announce unbound = voter.election->make_announce(now_ms_, wall());
  EXPECT_FALSE(unbound.unbound);
  unbound.unbound = true;
  EXPECT_EQ(give(lord, unbound), Verdict::kTaken);
  EXPECT_FALSE(is_lord(lord));
}

// A voter, and what it is told by a candidate that stands and has a link to it.
class BoundVoterTest : public SealedElectionTest {
 protected:
  // From time to time for so long; ends with a packet that has all of the voter's.
  void hear(Announce& candidate, std::int64_t ms) {
    for (std::int64_t at = 0; at <= ms; at += 100) {
      run(at == 0 ? 10 : 100);
      ++candidate.sequence;
      candidate.heard = {{voter_.election->uuid(), voter_.sent.back().sequence}};
      EXPECT_EQ(give(voter_, candidate, candidate.uuid.text()), Verdict::kTaken);
    }
  }
  static Announce candidate(char uuid, std::uint64_t valor) {
    Announce made;
    made.legion = "l";
    made.uuid = uuid_of(uuid);
    made.valor = valor;
    made.vote = {valor, made.uuid};
    made.links = 2;
    made.idle = true;
    made.tolerance_ms = 3'000;
    made.quorum = 2;
    made.sealed = true;
    return made;
  }
  const Uuid& vote() const { return voter_.election->vote().uuid; }

  Node& voter_ = add('a', 0, 2);
};

TEST_F(BoundVoterTest, IsFreeOnceTheCandidateHasSeenThatItsVoteIsGone) {
  Announce low = candidate('b', 1);
  hear(low, 4'000);
  ASSERT_EQ(vote(), low.uuid);
  Announce high = candidate('c', 2);
  hear(high, 200);
  EXPECT_TRUE(vote().empty());
  hear(low, 0);
  EXPECT_EQ(vote(), high.uuid);
}

TEST_F(BoundVoterTest, StaysBoundToWhoMayStillHoldSomething) {
  Announce low = candidate('b', 1);
  hear(low, 4'000);
  Announce high = candidate('c', 2);
  hear(high, 200);
  low.idle = false;
  hear(low, 500);
  EXPECT_TRUE(vote().empty());
  low.idle = true;
  hear(low, 0);
  hear(high, 0);
  EXPECT_EQ(vote(), high.uuid);
}

TEST_F(BoundVoterTest, StaysBoundToWhoHasOnlyItsVote) {
  Announce low = candidate('b', 1);
  hear(low, 4'000);
  const std::uint64_t voted = voter_.sent.back().sequence;
  Announce high = candidate('c', 2);
  hear(high, 200);
  ++low.sequence;
  low.heard = {{voter_.election->uuid(), voted}};
  EXPECT_EQ(give(voter_, low, low.uuid.text()), Verdict::kTaken);
  EXPECT_TRUE(vote().empty());
}

// It may have heard of links that are about to be found dead.
TEST_F(BoundVoterTest, DoesNotVoteOnForWhoShowsNoMoreThatItHears) {
  Announce low = candidate('b', 1);
  hear(low, 4'000);
  for (int i = 0; i < 23; ++i) {
    // Up to a second old is what it echoes anyway.
    if (i < 12) ASSERT_EQ(vote(), low.uuid) << i;
    run(100);
    ++low.sequence;
    EXPECT_EQ(give(voter_, low, low.uuid.text()), Verdict::kTaken);
  }
  EXPECT_TRUE(vote().empty());
  EXPECT_EQ(voter_.election->members().size(), 1U);
}

TEST_F(SealedElectionTest, SuspendedMemberStillVotes) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  run(5'000);
  ASSERT_TRUE(is_lord(high));
  high.election->on_lorded(false, now_ms_, wall());
  act(high);
  run(5'000);
  EXPECT_FALSE(high.sent.back().dead);
  EXPECT_EQ(high.sent.back().valor, 0U);
  EXPECT_TRUE(is_lord(low));
  run(30'000);
  EXPECT_TRUE(is_lord(high));
}

TEST_F(SealedElectionTest, RecordingsOfFormerLivesDoNotFillTheTable) {
  Node& low = add('a', 1, 2);
  Announce former;
  former.legion = "l";
  former.valor = 9;
  former.sequence = 5;
  former.hurry = true;
  run(1'000);
  const std::size_t before = low.sent.size();
  for (std::size_t i = 0; i < 3 * kMembersMax; ++i) {
    former.uuid = Uuid::draw();
    EXPECT_EQ(give(low, former), Verdict::kTaken);
  }
  for (int i = 0; i < 200; ++i) {
    run(10);
    ++former.sequence;
    EXPECT_EQ(give(low, former), Verdict::kTaken);
  }
  EXPECT_LT(low.sent.size() - before, 6U);       // what they ask is not answered
  Node& high = add('b', 2, 2);
  run(5'000);
  EXPECT_TRUE(is_lord(high));
}

TEST_F(SealedElectionTest, ClocksOfTheWallDoNotMatter) {
  Node& low = add('a', 1, 2);
  Node& high = add('b', 2, 2);
  run(6'000);
  ASSERT_TRUE(is_lord(high));
  Announce announce = low.sent.back();
  announce.unix_s -= 1'000'000;
  announce.sequence += 1;
  EXPECT_EQ(give(high, announce, std::string(announce.uuid.text())),
            Verdict::kTaken);
  EXPECT_TRUE(is_lord(high));
}

}  // namespace
}  // namespace fealty::legion
