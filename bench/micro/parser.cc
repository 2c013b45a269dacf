// From the bytes that a client sent to the packet that a node gets: scanning,
// parsing, the host, the variables; and each step alone.

#include <benchmark/benchmark.h>

#include <memory>
#include <string_view>
#include <vector>

#include "bench/micro/requests.h"
#include "http/head_scanner.h"
#include "http/request_head.h"
#include "router/node_uwsgi.h"

namespace {

using namespace fealty;

constexpr router::ConnectionVariables kConnection{"192.0.2.17", "51234", "80",
                                                  nullptr};

void set_bytes(benchmark::State& state, std::string_view request) {
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(request.size()));
}

void parser_scan(benchmark::State& state, std::string_view request) {
  for (auto _ : state) {
    http::HeadScanner scanner;
    benchmark::DoNotOptimize(scanner.scan(request));
    benchmark::ClobberMemory();
  }
  set_bytes(state, request);
}

void parser_parse(benchmark::State& state, std::string_view request) {
  const auto head = std::make_unique<http::RequestHead>();
  for (auto _ : state) {
    const http::HeadProblem problem = http::parse_request_head(request, *head);
    benchmark::DoNotOptimize(problem.status);
    benchmark::ClobberMemory();
  }
  set_bytes(state, request);
}

void parser_encode(benchmark::State& state, std::string_view request) {
  const auto head = std::make_unique<http::RequestHead>();
  if (http::parse_request_head(request, *head).status != 0) {
    state.SkipWithError("the request was refused");
  }
  http::Host host{};
  benchmark::DoNotOptimize(http::normalise_host(head->authority, host));
  std::vector<char> out(4096);
  std::size_t bytes = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        router::encode_uwsgi_request(*head, host, kConnection, out, bytes));
    benchmark::ClobberMemory();
  }
  state.counters["packet_bytes"] = static_cast<double>(bytes);
  set_bytes(state, request);
}

// All of it, as a session does.
void parser_to_variables(benchmark::State& state, std::string_view request) {
  const auto head = std::make_unique<http::RequestHead>();
  std::vector<char> out(4096);
  for (auto _ : state) {
    http::HeadScanner scanner;
    if (scanner.scan(request) != http::HeadScanner::Step::kComplete ||
        http::parse_request_head(request.substr(0, scanner.head_bytes()), *head)
                .status != 0) {
      state.SkipWithError("the request was refused");
      break;
    }
    http::Host host{};
    std::size_t bytes = 0;
    if (!http::normalise_host(head->authority, host) ||
        router::encode_uwsgi_request(*head, host, kConnection, out, bytes) !=
            router::Encoded::kOk) {
      state.SkipWithError("the request was not encoded");
      break;
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  set_bytes(state, request);
}

BENCHMARK_CAPTURE(parser_scan, minimal, bench::kMinimalRequest);
BENCHMARK_CAPTURE(parser_scan, browser, bench::kBrowserRequest);
BENCHMARK_CAPTURE(parser_parse, minimal, bench::kMinimalRequest);
BENCHMARK_CAPTURE(parser_parse, browser, bench::kBrowserRequest);
BENCHMARK_CAPTURE(parser_encode, minimal, bench::kMinimalRequest);
BENCHMARK_CAPTURE(parser_encode, browser, bench::kBrowserRequest);
BENCHMARK_CAPTURE(parser_to_variables, minimal, bench::kMinimalRequest);
BENCHMARK_CAPTURE(parser_to_variables, browser, bench::kBrowserRequest);

}  // namespace
