#include "conf/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace fealty::conf {
namespace {

using testing::HasSubstr;

TEST(Nearest, FindsTheKeyOfATypingMistake) {
  const std::vector<std::string_view> keys = {"listeners", "limits", "admin",
                                              "timeouts", "temp_dir"};
  EXPECT_EQ(nearest("listners", keys), "listeners");
  EXPECT_EQ(nearest("lisetners", keys), "listeners");
  EXPECT_EQ(nearest("Listeners", keys), "listeners");
  EXPECT_EQ(nearest("timeout", keys), "timeouts");
  EXPECT_EQ(nearest("tempdir", keys), "temp_dir");
  EXPECT_EQ(nearest("amdin", keys), "admin");
}

TEST(Nearest, IsEmptyWhereNothingIsNear) {
  EXPECT_EQ(nearest("certificates", {"workers", "user"}), "");
  EXPECT_EQ(nearest("", {"workers"}), "");
  EXPECT_EQ(nearest("xy", {"ab"}), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), {"workers"}), "");
  EXPECT_EQ(nearest("workers", {}), "");
}

TEST(BooleanFormat, TakesTrueAndFalseOnly) {
  EXPECT_TRUE(BooleanFormat::parse("true").value());
  EXPECT_FALSE(BooleanFormat::parse("false").value());
  for (const char* text : {"", "yes", "1", "True", "on", "truee"}) {
    EXPECT_FALSE(BooleanFormat::parse(text).has_value()) << text;
  }
}

TEST(IntegerFormat, KeepsItsBounds) {
  const IntegerFormat format{3, 10};
  EXPECT_EQ(format.parse("3").value(), 3U);
  EXPECT_EQ(format.parse("10").value(), 10U);
  for (const char* text : {"2", "11", "", "-3", "+3", "3.0", "0x3", " 3", "3 ",
                           "99999999999999999999999"}) {
    const auto result = format.parse(text);
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_THAT(result.error().message, HasSubstr("a number from 3 to 10"));
  }
}

TEST(AutoCountFormat, TakesAutoOrANumberFromOne) {
  const AutoCountFormat format{256};
  EXPECT_EQ(format.parse("auto").value(), 0U);
  EXPECT_EQ(format.parse("1").value(), 1U);
  EXPECT_EQ(format.parse("256").value(), 256U);
  for (const char* text : {"0", "257", "many", ""}) {
    EXPECT_FALSE(format.parse(text).has_value()) << text;
  }
}

TEST(DurationFormat, TakesEachUnit) {
  const DurationFormat format{1, 86'400'000};
  EXPECT_EQ(format.parse("250ms").value(), 250);
  EXPECT_EQ(format.parse("10s").value(), 10'000);
  EXPECT_EQ(format.parse("5m").value(), 300'000);
  EXPECT_EQ(format.parse("24h").value(), 86'400'000);
}

TEST(DurationFormat, TakesABareNumberForSeconds) {
  EXPECT_EQ((DurationFormat{1, 60'000}.parse("30").value()), 30'000);
}

TEST(DurationFormat, RefusesWhatIsNoTime) {
  const DurationFormat format{1, 86'400'000};
  for (const char* text : {"", "s", "10x", "1.5s", "-1s", "10 s", "10S", "1d",
                           "18446744073709551615h", "5mm"}) {
    const auto result = format.parse(text);
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_THAT(result.error().message, HasSubstr("500ms, 10s, 5m or 2h"));
  }
}

TEST(DurationFormat, NamesTheBoundsThatAreLeft) {
  const DurationFormat format{1, 86'400'000};
  for (const char* text : {"0", "0s", "0ms", "25h", "86400001ms"}) {
    const auto result = format.parse(text);
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_THAT(result.error().message, HasSubstr("a time from 1ms to 24h"));
  }
}

TEST(SecondsFormat, RefusesParts) {
  const SecondsFormat format{1, 3600};
  EXPECT_EQ(format.parse("2m").value(), 120);
  EXPECT_EQ(format.parse("2000ms").value(), 2);
  EXPECT_FALSE(format.parse("1500ms").has_value());
  EXPECT_FALSE(format.parse("0s").has_value());
  EXPECT_FALSE(format.parse("2h").has_value());
  EXPECT_EQ(SecondsFormat::show(120), "2m");
}

TEST(SizeFormat, TakesEachUnitInEitherCase) {
  const SizeFormat format{0, UINT64_MAX - 1};
  EXPECT_EQ(format.parse("512").value(), 512U);
  EXPECT_EQ(format.parse("64k").value(), 64U * 1024);
  EXPECT_EQ(format.parse("64K").value(), 64U * 1024);
  EXPECT_EQ(format.parse("3m").value(), 3U * 1024 * 1024);
  EXPECT_EQ(format.parse("2g").value(), 2ULL * 1024 * 1024 * 1024);
}

TEST(SizeFormat, KeepsItsBoundsAndNeverOverflows) {
  const SizeFormat format{1024, 65'536};
  EXPECT_FALSE(format.parse("1023").has_value());
  EXPECT_FALSE(format.parse("65537").has_value());
  EXPECT_FALSE(format.parse("17179869184g").has_value());
  EXPECT_FALSE(format.parse("18446744073709551616").has_value());
  EXPECT_FALSE(format.parse("64kb").has_value());
  EXPECT_FALSE(format.parse("unlimited").has_value());
  EXPECT_EQ((SizeFormat{1, 2, true}.parse("unlimited").value()), UINT64_MAX);
}

TEST(ModeFormat, ReadsOctal) {
  EXPECT_EQ(ModeFormat::parse("0666").value(), mode_t{0666});
  EXPECT_EQ(ModeFormat::parse("660").value(), mode_t{0660});
  for (const char* text : {"", "0", "66", "0888", "1777", "0o666", "rw", "-660",
                           "00660"}) {
    EXPECT_FALSE(ModeFormat::parse(text).has_value()) << text;
  }
  EXPECT_EQ(ModeFormat::show(mode_t{0640}), "\"0640\"");
  EXPECT_EQ(ModeFormat::show({}), "null");
}

TEST(TextFormat, IsOneBoundedLine) {
  EXPECT_EQ(TextFormat{5}.parse("hello").value(), "hello");
  EXPECT_FALSE(TextFormat{5}.parse("hello!").has_value());
  EXPECT_FALSE(TextFormat{5}.parse("").has_value());
  EXPECT_TRUE((TextFormat{5, true}.parse("").has_value()));
  EXPECT_FALSE(TextFormat{5}.parse("a\nb").has_value());
  EXPECT_FALSE(TextFormat{5}.parse(std::string(1, '\0')).has_value());
}

TEST(UserFormat, TakesNamesAndNumbers) {
  EXPECT_EQ(UserFormat::parse("www-data").value(), "www-data");
  EXPECT_EQ(UserFormat::parse("33").value(), "33");
  for (const char* text : {"", "-x", "a b", "a:b", "a/b"}) {
    EXPECT_FALSE(UserFormat::parse(text).has_value()) << text;
  }
  EXPECT_FALSE(UserFormat::parse(std::string(33, 'a')).has_value());
}

TEST(PathFormat, TakesRelativePathsFromTheFolder) {
  const PathFormat format{"/etc/fealty"};
  EXPECT_EQ(format.parse("keys").value(), "/etc/fealty/keys");
  EXPECT_EQ(format.parse("../run/x").value(), "/etc/run/x");
  EXPECT_EQ(format.parse("/srv//a/./b").value(), "/srv/a/b");
  EXPECT_FALSE(format.parse("").has_value());
  EXPECT_FALSE(format.parse(std::string(4090, 'a')).has_value());
}

TEST(AddressFormat, ReadsEveryForm) {
  const AddressFormat format{"/etc/fealty"};
  EXPECT_EQ(format.parse("127.0.0.1:80").value().to_string(), "127.0.0.1:80");
  EXPECT_EQ(format.parse("[::1]:80").value().to_string(), "[::1]:80");
  EXPECT_EQ(format.parse("unix:/run/x").value().to_string(), "/run/x");
  EXPECT_EQ(format.parse("unix:x").value().to_string(), "/etc/fealty/x");
  EXPECT_EQ(format.parse("unix:@x").value().to_string(), "@x");
}

TEST(AddressFormat, RefusesWhatNothingCanListenOn) {
  const AddressFormat format{"/etc/fealty"};
  for (const char* text : {"", "80", "127.0.0.1", "127.0.0.1:0", "[::1]:0",
                           "localhost:80", "127.0.0.1:65536", "unix:",
                           "unix:/a\nb", "/a\x7f"}) {
    EXPECT_FALSE(format.parse(text).has_value()) << text;
  }
  EXPECT_FALSE(format.parse("unix:/" + std::string(108, 'a')).has_value());
}

TEST(WordFormat, TellsUnknownWordsFromThoseOfLaterVersions) {
  const WordFormat format{{"wrr", "lrc", "iphash"}, 1};
  EXPECT_EQ(format.parse("wrr").value(), 0U);
  EXPECT_THAT(format.parse("iphash").error().message,
              HasSubstr("'iphash' is not available in this version (wrr is)"));
  EXPECT_THAT(format.parse("wwr").error().message,
              HasSubstr("is not one of: wrr; nearest: wrr"));
}

TEST(Quoted, EscapesWhatWouldEndTheText) {
  EXPECT_EQ(yaml_quoted("a\"b\\c\n\x7f"), R"("a\"b\\c\x0a\x7f")");
}

// What show() writes, parse() reads: for random values of each format.
TEST(Formats, ShowAndParseAreInverse) {
  std::mt19937_64 random(20'240'101);
  const SizeFormat size{0, UINT64_MAX, true};
  const DurationFormat duration{0, INT64_MAX};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t bits = random() >> (random() % 64);
    EXPECT_EQ(size.parse(SizeFormat::show(bits)).value(), bits);
    const auto time_ms = static_cast<std::int64_t>(bits >> 1);
    EXPECT_EQ(duration.parse(DurationFormat::show(time_ms)).value(), time_ms);
    const auto mode = static_cast<mode_t>(bits & 0777);
    const std::string shown = ModeFormat::show(mode);
    EXPECT_EQ(ModeFormat::parse(shown.substr(1, 4)).value(), mode);
  }
}

}  // namespace
}  // namespace fealty::conf
