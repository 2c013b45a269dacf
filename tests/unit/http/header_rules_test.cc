#include "http/header_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace fealty::http {
namespace {

std::string upper(std::string_view text) {
  std::string made(text);
  for (char& c : made) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
  }
  return made;
}

std::string capitalised(std::string_view text) {
  std::string made(text);
  bool first = true;
  for (char& c : made) {
    if (first && c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
    first = c == '-';
  }
  return made;
}

std::vector<std::string> tokens_of(std::string_view list) {
  std::vector<std::string> tokens;
  for_each_token(list, [&](std::string_view token) {
    tokens.emplace_back(token);
  });
  return tokens;
}

using Tokens = std::vector<std::string>;

TEST(HeaderRules, TableIsSortedByLengthThenName) {
  EXPECT_TRUE(std::is_sorted(
      kHeaderRules.begin(), kHeaderRules.end(),
      [](const HeaderRule& a, const HeaderRule& b) {
        return a.name.size() != b.name.size() ? a.name.size() < b.name.size()
                                              : a.name < b.name;
      }));
}

TEST(HeaderRules, NamesAndIdsAreThereOnce) {
  std::set<std::string_view> names;
  std::set<Header> ids;
  for (const HeaderRule& rule : kHeaderRules) {
    EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    EXPECT_TRUE(ids.insert(rule.id).second) << rule.name;
    EXPECT_EQ(std::string(rule.name).find_first_of(
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
              std::string::npos);
  }
  EXPECT_EQ(ids.count(Header::kOther), 0U);
}

TEST(HeaderRules, EveryRuleIsFoundInAnyCase) {
  for (const HeaderRule& rule : kHeaderRules) {
    for (const std::string& name :
         {std::string(rule.name), upper(rule.name), capitalised(rule.name)}) {
      EXPECT_EQ(&rule_of(name), &rule) << name;
    }
  }
}

TEST(HeaderRules, NearMissesHaveNoRule) {
  for (const HeaderRule& rule : kHeaderRules) {
    const std::string name(rule.name);
    EXPECT_EQ(rule_of(name + "x").id, Header::kOther) << name;
    EXPECT_EQ(rule_of("z" + name.substr(1)).id, Header::kOther) << name;
    std::string underscored = name;
    std::replace(underscored.begin(), underscored.end(), '-', '_');
    if (underscored != name) {
      EXPECT_EQ(rule_of(underscored).id, Header::kOther) << name;
    }
  }
  EXPECT_EQ(rule_of("").id, Header::kOther);
  EXPECT_EQ(rule_of("x").id, Header::kOther);
  EXPECT_EQ(rule_of(std::string(300, 'x')).id, Header::kOther);
}

TEST(HeaderRules, CaseIsThatOfLettersAlone) {
  // '@' and '`', '[' and '{' differ by the same bit as letters do.
  EXPECT_FALSE(equals_ignoring_case("@", "`"));
  EXPECT_FALSE(equals_ignoring_case("[", "{"));
  EXPECT_FALSE(equals_ignoring_case("\x0d", "-"));
  EXPECT_TRUE(equals_ignoring_case("AZaz-09", "azaz-09"));
  EXPECT_EQ(rule_of("x\x0d" "client-dn").id, Header::kOther);
}

TEST(HeaderRules, ForgeriesAreDroppedAndFramingIsTheRouters) {
  EXPECT_EQ(rule_of("Proxy").as_variable, AsVariable::kDropped);
  for (const std::string_view name :
       {"X-Client-DN", "X-Forwarded-Proto", "X-Forwarded-SSL",
        "Front-End-Https", "X-SSL-Client-Verify", "x-ssl-client-s-dn",
        "Forwarded", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Scheme",
        "X-Url-Scheme"}) {
    EXPECT_EQ(rule_of(name).as_variable, AsVariable::kDropped) << name;
    EXPECT_EQ(rule_of(name).as_field, AsField::kWritten) << name;
  }
  EXPECT_EQ(rule_of("x-ssl-client-").id, Header::kOther);
  EXPECT_EQ(rule_of("x-ssl-clients-dn").id, Header::kOther);
  EXPECT_EQ(rule_of("Transfer-Encoding").as_variable, AsVariable::kDropped);
  EXPECT_EQ(rule_of("Content-Length").as_variable, AsVariable::kBare);
  EXPECT_EQ(rule_of("Content-Type").as_variable, AsVariable::kBare);
  EXPECT_EQ(rule_of("Accept").as_variable, AsVariable::kPrefixed);
}

TEST(HeaderRules, ConnectionHeadersAreHopByHop) {
  for (const char* name :
       {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade"}) {
    EXPECT_TRUE(rule_of(name).hop_by_hop) << name;
  }
  for (const char* name : {"Host", "Cookie", "Content-Length", "Accept"}) {
    EXPECT_FALSE(rule_of(name).hop_by_hop) << name;
  }
}

TEST(HeaderRules, WhatRecipientsMustAgreeOnStandsOnce) {
  for (const char* name : {"Host", "Content-Length", "Content-Type"}) {
    EXPECT_TRUE(rule_of(name).singleton) << name;
  }
  EXPECT_FALSE(rule_of("Cookie").singleton);
}

TEST(ForEachToken, ElementsAreTrimmedAndEmptyOnesLeftOut) {
  EXPECT_EQ(tokens_of("a, b ,\tc\t"), (Tokens{"a", "b", "c"}));
  EXPECT_EQ(tokens_of(",, a,, ,b,"), (Tokens{"a", "b"}));
  EXPECT_EQ(tokens_of("two words, x"), (Tokens{"two words", "x"}));
  EXPECT_EQ(tokens_of("alone"), (Tokens{"alone"}));
}

TEST(ForEachToken, ListOfNothingHasNoElements) {
  for (const char* list : {"", " ", ",", " , \t,", "\t"}) {
    EXPECT_TRUE(tokens_of(list).empty()) << list;
  }
}

}  // namespace
}  // namespace fealty::http
