#include "legion/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace fealty::legion {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Three members that leave nothing to say.
LegionOptions fine() {
  LegionOptions options;
  options.wire = Wire::kSealed;
  options.secret = std::string(16, 's');
  options.nodes.resize(2);
  options.election.quorum = 2;
  return options;
}

TEST(LegionOptions, NothingIsSaidOfWhatIsFine) {
  EXPECT_THAT(warnings_of(fine()), IsEmpty());
}

TEST(LegionOptions, QuorumOfHalfOrLessIsSaid) {
  LegionOptions options = fine();
  options.nodes.resize(3);
  EXPECT_THAT(warnings_of(options),
              ElementsAre(HasSubstr("not above half of 4 members")));
}

TEST(LegionOptions, ShortSecretIsSaidOnTheSealedWire) {
  LegionOptions options = fine();
  options.secret.pop_back();
  EXPECT_THAT(warnings_of(options), ElementsAre(HasSubstr("16 bytes")));
  options.wire = Wire::kUwsgi;
  EXPECT_THAT(warnings_of(options), IsEmpty());
}

TEST(LegionOptions, CommandsThatTheLeaseDoesNotCoverAreSaid) {
  LegionOptions options = fine();
  auto& unlord = options.hooks[static_cast<std::size_t>(Event::kUnlord)];
  unlord.push_back({HookAction::Kind::kIpDel, {}, {}});
  EXPECT_THAT(warnings_of(options), IsEmpty());
  unlord.push_back({HookAction::Kind::kExec, "stop it", {}});
  EXPECT_THAT(warnings_of(options), ElementsAre(HasSubstr("commands of unlord")));
  options.hook_timeout_ms = options.election.tolerance_ms / 20;
  EXPECT_THAT(warnings_of(options), IsEmpty());
}

}  // namespace
}  // namespace fealty::legion
