// A head as the API reads it: no crash; who is not trusted says nothing of the
// client, and what is taken over is decoded once and within its bounds. Then its
// credentials, in both forms: text within their bound.

#include <cstdint>
#include <string_view>

#include "api/credentials.h"
#include "api/http_request.h"
#include "api/json.h"
#include "base/check.h"
#include "http/head_scanner.h"

using namespace fealty;
using namespace fealty::api;

namespace {

void check_credentials(const Request& request) {
  const auto found = read_credentials(request.authorization,
                                      request.hex_username, request.hex_password);
  if (!found) return;
  FEALTY_CHECK(found->username.size() <= kCredentialBytesMax);
  FEALTY_CHECK(found->password.size() <= kCredentialBytesMax);
  FEALTY_CHECK(is_text(found->username + ":" + found->password));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  http::HeadScanner scanner;
  if (scanner.scan(text) != http::HeadScanner::Step::kComplete) return 0;
  http::RequestHead head;
  if (http::parse_request_head(text.substr(0, scanner.head_bytes()), head).status != 0) {
    return 0;
  }
  for (const bool trusted : {false, true}) {
    const Peer peer{Entrance::kPublic, *Address::parse("192.0.2.1:9"), trusted};
    const auto request = read_request(head, peer);
    if (!request) {
      FEALTY_CHECK(request.error().refuses());
      return 0;
    }
    FEALTY_CHECK(request->path.size() <= kPathBytesMax);
    FEALTY_CHECK(request->query.size() <= kQueryKeysMax);
    FEALTY_CHECK(trusted || (request->address == "192.0.2.1" &&
                             request->subject.empty() &&
                             request->forwarded_host.empty()));
    static_cast<void>(network_of(request->address));
    check_credentials(*request);
  }
  return 0;
}
