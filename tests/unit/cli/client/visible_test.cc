#include "cli/client/visible.h"

#include <gtest/gtest.h>

#include <string>

namespace fealty::cli {
namespace {

TEST(Visible, TextStaysAsItIs) {
  EXPECT_EQ(visible("plain ünïcödé 日本 🙂 \"'"), "plain ünïcödé 日本 🙂 \"'");
}

TEST(Visible, ControlsAreWrittenOut) {
  EXPECT_EQ(visible("a\nb\tc\rd\\e"), "a\\nb\\tc\\rd\\\\e");
  EXPECT_EQ(visible("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
  EXPECT_EQ(visible(std::string("\0x", 2)), "\\x00x");
  EXPECT_EQ(visible("\u009b1m"), "\\u{9b}1m");
}

TEST(Visible, WhatTurnsTextAroundIsWrittenOut) {
  EXPECT_EQ(visible("a\u202eb\u2066c\u200bd\ufeff"),
            "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{feff}");
}

TEST(Visible, BytesThatAreNoUtf8AreWrittenOut) {
  EXPECT_EQ(visible("a\xff\xc3"), "a\\xff\\xc3");
  EXPECT_EQ(visible("\xc0\xaf"), "\\xc0\\xaf");              // overlong
  EXPECT_EQ(visible("\xed\xa0\x80"), "\\xed\\xa0\\x80");     // a surrogate
  EXPECT_EQ(visible("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(Width, CountsColumnsAndNotBytes) {
  EXPECT_EQ(width_of("abc"), 3U);
  EXPECT_EQ(width_of("ünï"), 3U);
  EXPECT_EQ(width_of("日本"), 4U);
  EXPECT_EQ(width_of("e\u0301"), 1U);
  EXPECT_EQ(padded("日", 4), "日  ");
  EXPECT_EQ(padded("abcd", 2), "abcd");
}

TEST(VisibleJson, MeansTheSameAndMovesNoCursor) {
  EXPECT_EQ(visible_json("{\"a\":\"\x7f\u009b\u202eü\\n\"}"),
            "{\"a\":\"\\u007f\\u009b\\u202eü\\n\"}");
  EXPECT_EQ(visible_json("\U000e0001"), "\\udb40\\udc01");
}

}  // namespace
}  // namespace fealty::cli
