// The uwsgi packet codec alone: a request's packet with 22 variables.

#include <benchmark/benchmark.h>

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/uwsgi_packet.h"

namespace {

using namespace fealty::wire;

constexpr std::pair<std::string_view, std::string_view> kVariables[] = {
    {"REQUEST_METHOD", "GET"},
    {"REQUEST_URI", "/catalogue/shoes/item-4711?colour=dark%20blue&size=42"},
    {"PATH_INFO", "/catalogue/shoes/item-4711"},
    {"QUERY_STRING", "colour=dark%20blue&size=42"},
    {"SERVER_PROTOCOL", "HTTP/1.1"},
    {"SCRIPT_NAME", ""},
    {"SERVER_NAME", "www.shop.example.com"},
    {"SERVER_PORT", "80"},
    {"UWSGI_ROUTER", "http"},
    {"REMOTE_ADDR", "192.0.2.17"},
    {"REMOTE_PORT", "51234"},
    {"HTTP_HOST", "www.shop.example.com"},
    {"HTTP_CONNECTION", "keep-alive"},
    {"HTTP_CACHE_CONTROL", "max-age=0"},
    {"HTTP_UPGRADE_INSECURE_REQUESTS", "1"},
    {"HTTP_USER_AGENT",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/118.0.0.0 Safari/537.36"},
    {"HTTP_ACCEPT",
     "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*"},
    {"HTTP_REFERER", "https://www.shop.example.com/catalogue/shoes?page=2"},
    {"HTTP_ACCEPT_ENCODING", "gzip, deflate, br"},
    {"HTTP_ACCEPT_LANGUAGE", "it-IT,it;q=0.9,en-US;q=0.8,en;q=0.7"},
    {"HTTP_COOKIE", "session=8f14e45fceea167a5a36dedd4bea2543; consent=1"},
    {"CONTENT_LENGTH", ""},
};

std::span<char> encode(std::span<char> buffer) {
  UwsgiWriter writer(buffer);
  for (const auto& [key, value] : kVariables) writer.add(key, value);
  return writer.finish(kModifierRequest, 0);
}

void set_bytes(benchmark::State& state, std::size_t packet_bytes) {
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(packet_bytes));
  state.counters["packet_bytes"] = static_cast<double>(packet_bytes);
}

void codec_encode(benchmark::State& state) {
  std::array<char, 4096> buffer;
  std::size_t bytes = 0;
  for (auto _ : state) {
    const std::span<char> packet = encode(buffer);
    bytes = packet.size();
    benchmark::DoNotOptimize(buffer.data());
    benchmark::ClobberMemory();
  }
  set_bytes(state, bytes);
}
BENCHMARK(codec_encode);

void codec_decode(benchmark::State& state) {
  std::array<char, 4096> buffer;
  const std::span<char> packet = encode(buffer);
  const std::string_view data(packet.data() + kUwsgiHeaderBytes,
                              packet.size() - kUwsgiHeaderBytes);
  for (auto _ : state) {
    UwsgiPairReader reader(data);
    UwsgiPair pair;
    std::size_t sum = 0;
    while (reader.next(pair) == UwsgiPairReader::Step::kPair) {
      sum += pair.key.size() + pair.value.size();
    }
    benchmark::DoNotOptimize(sum);
    benchmark::ClobberMemory();
  }
  set_bytes(state, packet.size());
}
BENCHMARK(codec_decode);

}  // namespace
