#include "subscription/address_owners.h"

#include <gtest/gtest.h>

namespace fealty::subscription {
namespace {

constexpr Hash128 kNobody{};
constexpr Hash128 kMe{1, 0};
constexpr Hash128 kOther{2, 0};
constexpr Hash128 kAddress{3, 0};
constexpr Hash128 kMyNode{4, 1};
constexpr Hash128 kMySecondNode{4, 2};
constexpr Hash128 kOthersNode{5, 1};

TEST(AddressOwners, AnothersAddressIsRefused) {
  AddressOwners owners;
  EXPECT_TRUE(owners.may_claim(kMyNode, kAddress, kMe));
  owners.claim(kMyNode, kAddress, kMe);
  EXPECT_FALSE(owners.may_claim(kOthersNode, kAddress, kOther));
  EXPECT_TRUE(owners.may_claim(kMySecondNode, kAddress, kMe));
}

TEST(AddressOwners, AddressIsFreeWhenItsLastNodeHasLeft) {
  AddressOwners owners;
  owners.claim(kMyNode, kAddress, kMe);
  owners.claim(kMyNode, kAddress, kMe);  // a refresh
  owners.claim(kMySecondNode, kAddress, kMe);
  owners.release(kMyNode);
  EXPECT_FALSE(owners.may_claim(kOthersNode, kAddress, kOther));
  owners.release(kMySecondNode);
  EXPECT_TRUE(owners.may_claim(kOthersNode, kAddress, kOther));
  EXPECT_EQ(owners.address_count(), 0U);
}

TEST(AddressOwners, ReleaseOfAStrangerDoesNothing) {
  AddressOwners owners;
  owners.claim(kMyNode, kAddress, kMe);
  owners.release(kOthersNode);
  owners.release(kOthersNode);
  EXPECT_FALSE(owners.may_claim(kOthersNode, kAddress, kOther));
}

TEST(AddressOwners, UnsignedOwnNothingAndCostNothing) {
  AddressOwners owners;
  owners.claim(kMyNode, kAddress, kNobody);
  EXPECT_EQ(owners.address_count(), 0U);
  owners.claim(kMyNode, kAddress, kMe);
  EXPECT_TRUE(owners.may_claim(kOthersNode, kAddress, kNobody));
}

TEST(AddressOwners, KnownNodeKeepsItsAddressWhenItsKeyIsExchanged) {
  AddressOwners owners;
  const Hash128 my_new_key{1, 1};
  owners.claim(kMyNode, kAddress, kMe);
  owners.claim(kMySecondNode, kAddress, kMe);
  EXPECT_TRUE(owners.may_claim(kMyNode, kAddress, my_new_key));
  owners.claim(kMyNode, kAddress, my_new_key);
  EXPECT_TRUE(owners.may_claim(kMySecondNode, kAddress, my_new_key));
  EXPECT_TRUE(owners.may_claim(kMySecondNode, kAddress, kMe));
  EXPECT_FALSE(owners.may_claim(kOthersNode, kAddress, kOther));
  owners.claim(kMySecondNode, kAddress, my_new_key);
  EXPECT_FALSE(owners.may_claim(kOthersNode, kAddress, kMe))
      << "the old key has nothing left there";
}

}  // namespace
}  // namespace fealty::subscription
