// Arbitrary bytes as a request's head, split at two places that the input's
// first bytes choose: the scanner agrees with a byte-by-byte model however the
// bytes come, and what the parser lets pass is what a gateway may build on.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/head_scanner.h"
#include "http/request_head.h"
#include "tests/unit/http/head_model.h"

namespace {

using namespace fealty::http;
using Step = HeadScanner::Step;

constexpr std::size_t kChoiceBytes = 2;

void check_scanner(std::string_view head, std::size_t first,
                   std::size_t second) {
  const fealty::test::HeadModel model = fealty::test::model_head(head);
  HeadScanner scanner;
  Step step = Step::kNeedMore;
  for (const std::size_t end :
       {first % (head.size() + 1), second % (head.size() + 1), head.size()}) {
    if (step == Step::kNeedMore) step = scanner.scan(head.substr(0, end));
    // A split behind the second one shows nothing new: that is fine too.
  }
  FEALTY_CHECK(step == model.step);
  FEALTY_CHECK(step != Step::kComplete ||
               scanner.head_bytes() == model.head_bytes);
}

bool inside(std::string_view view, std::string_view bytes) {
  return view.empty() ||
         (view.data() >= bytes.data() &&
          view.data() + view.size() <= bytes.data() + bytes.size());
}

bool same_name(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](char a, char b) {
                      return ascii_lower(a) == ascii_lower(b);
                    });
}

void check_fields(const RequestHead& head, std::string_view bytes) {
  FEALTY_CHECK(head.field_count <= RequestHead::kFieldsMax);
  std::size_t hosts = 0;
  std::size_t lengths = 0;
  for (std::size_t i = 0; i < head.field_count; ++i) {
    const HeaderField& field = head.fields[i];
    FEALTY_CHECK(!field.name.empty());
    FEALTY_CHECK(inside(field.name, bytes) && inside(field.value, bytes));
    FEALTY_CHECK(field.name.find_first_of(" \t:\r\n") == field.name.npos);
    FEALTY_CHECK(field.value.find_first_of("\r\n") == field.value.npos);
    FEALTY_CHECK(field.value.find('\0') == field.value.npos);
    FEALTY_CHECK(field.value.empty() || (field.value.front() != ' ' &&
                                         field.value.front() != '\t' &&
                                         field.value.back() != ' ' &&
                                         field.value.back() != '\t'));
    FEALTY_CHECK(field.rule == &rule_of(field.name));
    hosts += field.rule->id == Header::kHost ? 1 : 0;
    lengths += field.rule->id == Header::kContentLength ? 1 : 0;
  }
  for (std::size_t i = 0; i < head.field_count && !head.names_may_repeat; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      FEALTY_CHECK(!same_name(head.fields[i].name, head.fields[j].name));
    }
  }
  FEALTY_CHECK(hosts == 1 || (hosts == 0 && head.minor_version == 0));
  FEALTY_CHECK(lengths <= 1);
  FEALTY_CHECK(lengths == 0 || head.framing != BodyFraming::kChunked);
  FEALTY_CHECK((head.framing == BodyFraming::kLength) ==
               (head.content_length > 0));
}

void check_target(const RequestHead& head, std::string_view bytes) {
  FEALTY_CHECK(!head.method.empty() && head.method != "CONNECT");
  FEALTY_CHECK(bytes.starts_with(head.method));
  FEALTY_CHECK(head.target.find_first_of(" \r\n") == head.target.npos);
  FEALTY_CHECK(head.path.starts_with('/') || head.path == "*");
  FEALTY_CHECK(head.path.find_first_of("?#") == head.path.npos);
  FEALTY_CHECK(head.query.find('#') == head.query.npos);
  FEALTY_CHECK(!head.uri.empty());
  FEALTY_CHECK(inside(head.target, bytes) && inside(head.authority, bytes));
  std::string decoded(head.path.size(), '\0');
  const std::size_t count = percent_decode(head.path, decoded.data());
  FEALTY_CHECK(count == SIZE_MAX || count <= head.path.size());
  FEALTY_CHECK(count == SIZE_MAX ||
               std::memchr(decoded.data(), '\0', count) == nullptr);
}

void check_host(std::string_view authority) {
  Host host;
  if (!normalise_host(authority, host)) return;
  FEALTY_CHECK(!host.host().empty());
  for (const char c : host.host()) {
    FEALTY_CHECK(c > ' ' && c < 0x7f && c == ascii_lower(c));
    FEALTY_CHECK(c != '/' && c != '@' && c != '?' && c != '#');
  }
  FEALTY_CHECK(host.host_port().empty() ||
               host.host_port().starts_with(host.host()));
}

void check_refusal(const HeadProblem& problem) {
  switch (problem.status) {
    case 400: case 413: case 417: case 431: case 501: case 505:
      FEALTY_CHECK(!problem.reason.empty());
      return;
    default:
      FEALTY_CHECK(false);
  }
}

// What was parsed before must not show.
void check_independent(const RequestHead& one, const RequestHead& other) {
  FEALTY_CHECK(one.method == other.method && one.uri == other.uri);
  FEALTY_CHECK(one.path == other.path && one.query == other.query);
  FEALTY_CHECK(one.authority == other.authority);
  FEALTY_CHECK(one.minor_version == other.minor_version);
  FEALTY_CHECK(one.field_count == other.field_count);
  FEALTY_CHECK(one.names_may_repeat == other.names_may_repeat);
  for (std::size_t i = 0; i < one.field_count; ++i) {
    FEALTY_CHECK(one.fields[i].name == other.fields[i].name);
    FEALTY_CHECK(one.fields[i].value == other.fields[i].value);
    FEALTY_CHECK(one.fields[i].name_hash == other.fields[i].name_hash);
  }
  FEALTY_CHECK(one.framing == other.framing);
  FEALTY_CHECK(one.content_length == other.content_length);
  FEALTY_CHECK(one.keep_alive == other.keep_alive);
  FEALTY_CHECK(one.expect_continue == other.expect_continue);
  FEALTY_CHECK(one.upgrade == other.upgrade);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  if (size < kChoiceBytes) return 0;
  const std::string_view text(
      reinterpret_cast<const char*>(data) + kChoiceBytes, size - kChoiceBytes);
  check_scanner(text, data[0], data[1]);
  const fealty::test::HeadModel model = fealty::test::model_head(text);
  if (model.step != Step::kComplete) return 0;

  const std::string_view bytes = text.substr(0, model.head_bytes);
  static RequestHead used;            // by the inputs before this one
  const HeadProblem problem = parse_request_head(bytes, used);
  const auto fresh = std::make_unique<RequestHead>();
  const HeadProblem again = parse_request_head(bytes, *fresh);
  FEALTY_CHECK(problem.status == again.status);
  if (problem.status != 0) {
    check_refusal(problem);
    return 0;
  }
  check_independent(used, *fresh);
  check_fields(used, bytes);
  check_target(used, bytes);
  check_host(used.authority);
  return 0;
}
