#include "wire/proxy_header.h"

#include <gtest/gtest.h>

#include <string>

namespace fealty::wire {
namespace {

using State = ProxyHeader::State;
using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string v2(char command, char family, const std::string& data) {
  return kSignature + command + family +
         static_cast<char>(data.size() >> 8) +
         static_cast<char>(data.size() & 0xff) + data;
}
const std::string kV4Data = "\xc0\x00\x02\x07\x0a\x00\x00\x01\x12\x67\x01\xbb"s;
const std::string kV4 = v2('\x21', '\x11', kV4Data);

std::string source_of(const std::string& bytes) {
  const ProxyHeader header = parse_proxy_header(bytes + "GET / HTTP/1.1\r\n");
  EXPECT_EQ(header.state, State::kWhole);
  EXPECT_EQ(header.bytes, bytes.size());
  return header.source.to_string();
}

TEST(ProxyHeader, Version1NamesTheSource) {
  EXPECT_EQ(source_of("PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"),
            "192.0.2.7:4711");
  EXPECT_EQ(source_of("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"),
            "[2001:db8::7]:4711");
  EXPECT_EQ(source_of("PROXY UNKNOWN\r\n"), "");
  EXPECT_EQ(source_of("PROXY UNKNOWN whatever it is 1 2\r\n"), "");
}

TEST(ProxyHeader, Version2NamesTheSource) {
  EXPECT_EQ(source_of(kV4), "192.0.2.7:4711");
  const std::string source = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x07";
  EXPECT_EQ(source_of(v2('\x21', '\x21',
                         source + source + "\x12\x67\x01\xbb")),
            "[2001:db8::7]:4711");
  EXPECT_EQ(source_of(v2('\x20', '\x00', "")), "");
  EXPECT_EQ(source_of(v2('\x20', '\x11', kV4Data)), "");
  EXPECT_EQ(source_of(v2('\x21', '\x00', "any bytes")), "");
  EXPECT_EQ(source_of(v2('\x21', '\x31', std::string(216, 'p'))), "");
}

TEST(ProxyHeader, ExtensionsAreSkipped) {
  EXPECT_EQ(source_of(v2('\x21', '\x11', kV4Data + "\x04\x00\x02xx"s)),
            "192.0.2.7:4711");
}

TEST(ProxyHeader, EveryBeginningAsksForMore) {
  for (const std::string& whole :
       {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"s, kV4}) {
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      EXPECT_EQ(parse_proxy_header(whole.substr(0, bytes)).state,
                State::kMore)
          << bytes;
    }
  }
}

TEST(ProxyHeader, WhatIsNoneIsRefused) {
  for (const std::string& bytes :
       {"GET / HTTP/1.1\r\n\r\n"s, "PROXX"s, "\x16\x03\x01"s,
        "PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n"s,
        "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443 1\r\n"s,
        "PROXY TCP4  192.0.2.7 10.0.0.1 4711 443\r\n"s,
        "PROXY TCP4 192.0.2.007 10.0.0.1 4711 443\r\n"s,
        "PROXY TCP4 192.0.2.7 10.0.0.1 04711 443\r\n"s,
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n"s,
        "PROXY TCP4 192.0.2.7 10.0.0.1 -1 443\r\n"s,
        "PROXY TCP4 ::1 ::1 1 2\r\n"s, "PROXY TCP6 1.2.3.4 ::1 1 2\r\n"s,
        "PROXY TCP4 unix 10.0.0.1 1 2\r\n"s, "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"s,
        "PROXY \r\n"s, "PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"s,
        v2('\x11', '\x11', kV4Data), v2('\x22', '\x11', kV4Data),
        v2('\x21', '\x12', kV4Data), v2('\x21', '\x41', kV4Data),
        v2('\x21', '\x11', kV4Data.substr(1)), v2('\x21', '\x21', kV4Data),
        v2('\x21', '\x31', kV4Data), v2('\x21', '\x11', std::string(5000, 'x'))}) {
    EXPECT_EQ(parse_proxy_header(bytes).state, State::kBad) << bytes;
  }
}

TEST(ProxyHeader, IsBounded) {
  EXPECT_EQ(parse_proxy_header("PROXY UNKNOWN " + std::string(200, 'x')).state,
            State::kBad);
  EXPECT_EQ(parse_proxy_header("PROXY UNKNOWN " + std::string(92, 'x')).state,
            State::kMore);
  EXPECT_EQ(
      parse_proxy_header("PROXY UNKNOWN " + std::string(92, 'x') + "\r\n")
          .state,
      State::kBad);
  EXPECT_EQ(
      parse_proxy_header("PROXY UNKNOWN " + std::string(91, 'x') + "\r\n")
          .state,
      State::kWhole);
}

}  // namespace
}  // namespace fealty::wire
