#include "cli/client/api_client.h"

#include <httplib.h>
#include <sys/random.h>

#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "cli/client/watchdog.h"

namespace fealty::cli {
namespace {

using std::chrono::milliseconds;
using Trouble = httplib::Error;

constexpr std::int64_t kFirstPause_ms = 200;
constexpr std::int64_t kPauseMax_ms = 5'000;
// Who does not answer at all is told from who does not come to an end.
constexpr std::int64_t kLate_ms = 100;
// What an answer may have beside its body: its head, and what TLS and chunks add.
constexpr std::uint64_t kAroundBody_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kReadMost_bytes =
    ApiClient::kAnswerBytesMax + kAroundBody_bytes;
// The API ends a stream after minutes.
constexpr std::int64_t kStreamMost_ms = 3'600'000;

std::string new_idempotency_key() {
  std::array<unsigned char, 16> bytes{};
  FEALTY_CHECK(::getrandom(bytes.data(), bytes.size(), 0) ==
               static_cast<ssize_t>(bytes.size()));
  std::string out;
  for (const unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

std::unique_ptr<httplib::Client> new_client(
    const ApiClient::Settings& settings) {
  std::unique_ptr<httplib::Client> client;
  const auto* const url = std::get_if<ApiUrl>(&settings.where);
  if (url != nullptr) {
    client = std::make_unique<httplib::Client>(url->origin());
    if (!settings.ca_file.empty()) {
      client->set_ca_cert_path(settings.ca_file.c_str());
    }
    client->enable_server_certificate_verification(true);
  } else {
    const Address& address = std::get<Address>(settings.where);
    client = address.is_unix()
                 ? std::make_unique<httplib::Client>(address.unix_path(), 80)
                 : std::make_unique<httplib::Client>(address.host(),
                                                     address.port());
    if (address.is_unix()) client->set_address_family(AF_UNIX);
  }
  const milliseconds limit(settings.timeout_ms);
  client->set_connection_timeout(limit);
  client->set_read_timeout(limit);
  client->set_write_timeout(limit);
  client->set_follow_location(false);
  return client;
}

httplib::Request request_of(const ApiClient::Settings& settings,
                            const ApiRequest& wanted) {
  httplib::Request out;
  out.method = wanted.method;
  const auto* const url = std::get_if<ApiUrl>(&settings.where);
  out.path = (url == nullptr ? "" : url->base) + wanted.path;
  if (url == nullptr) out.set_header("Host", "admin");
  if (!settings.user.empty()) {
    out.headers.insert(httplib::make_basic_authentication_header(
        settings.user, settings.password));
  }
  if (wanted.body) {
    out.body = *wanted.body;
    out.set_header("Content-Type", wanted.type);
  }
  if (!wanted.if_none_match.empty()) {
    out.set_header("If-None-Match", wanted.if_none_match);
  }
  // Only logins have keys that the API keeps.
  if (wanted.method == "POST" && !settings.user.empty()) {
    out.set_header("Idempotency-Key", new_idempotency_key());
  }
  return out;
}

const char* advice_on(Trouble trouble) {
  switch (trouble) {
    case Trouble::Connection:
      return "nobody answers there; is the address right, and does it run?";
    case Trouble::ConnectionTimeout: return "nobody answers there in time";
    case Trouble::SSLConnection:
      return "there is no TLS, or none that both sides speak";
    case Trouble::SSLLoadingCerts:
      return "the CA file (--ca) cannot be read as certificates in PEM";
    case Trouble::SSLServerVerification:
      return "its certificate is not for this name, or of a CA that is not "
             "trusted; --ca FILE names another CA";
    case Trouble::Canceled: return "the answer is longer than 16 MiB";
    default: return "the answer breaks off, or does not come in time";
  }
}

// Whether the same may be sent again.
bool may_repeat(const httplib::Request& request, Trouble trouble) {
  if (trouble == Trouble::Connection) return true;
  if (trouble != Trouble::Read && trouble != Trouble::Write) return false;
  return request.method == "GET" || request.has_header("Idempotency-Key");
}
bool may_repeat(const httplib::Request& request, int status) {
  if (status != 502 && status != 503 && status != 504) return false;
  return request.method == "GET" || request.has_header("Idempotency-Key");
}

std::int64_t pause_ms(int attempt, const std::string& retry_after) {
  std::int64_t seconds = 0;
  std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(),
                  seconds);
  const std::int64_t own = kFirstPause_ms << (2 * (attempt - 1));
  return std::min(std::max(own, std::min(seconds, kPauseMax_ms) * 1000),
                  kPauseMax_ms);
}

httplib::Result exchange(const ApiClient::Settings& settings,
                         const httplib::Request& request,
                         std::int64_t limit_ms) {
  const auto client = new_client(settings);
  Watchdog watchdog(limit_ms, kReadMost_bytes);
  client->set_socket_options(
      [&watchdog](int socket) { watchdog.watch(socket); });
  return client->send(request);
}

ApiAnswer answer_of(const httplib::Result& result, std::string body) {
  return {result->status, std::move(body), result->get_header_value("ETag"),
          result->get_header_value("Location"),
          result->get_header_value("Retry-After")};
}

}  // namespace

std::string ApiClient::where() const {
  const auto* const url = std::get_if<ApiUrl>(&settings_.where);
  return url != nullptr ? url->to_string()
                        : std::get<Address>(settings_.where).to_string();
}

Result<ApiAnswer> ApiClient::send(const ApiRequest& wanted) const {
  httplib::Request request = request_of(settings_, wanted);
  std::string body;
  request.content_receiver = [&body](const char* data, std::size_t bytes,
                                     std::uint64_t, std::uint64_t) {
    body.append(data, bytes);
    return body.size() <= kAnswerBytesMax;
  };
  for (int attempt = 1;; ++attempt) {
    body.clear();
    const auto result =
        exchange(settings_, request, settings_.timeout_ms + kLate_ms);
    const bool last = attempt >= settings_.attempts;
    if (result && (last || !may_repeat(request, result->status))) {
      return answer_of(result, std::move(body));
    }
    if (!result && (last || !may_repeat(request, result.error()))) {
      return Error{where() + ": " + advice_on(result.error())};
    }
    std::this_thread::sleep_for(milliseconds(pause_ms(
        attempt, result ? result->get_header_value("Retry-After") : "")));
  }
}

Result<ApiAnswer> ApiClient::listen(const std::string& path,
                                    const OnPiece& on_piece) const {
  httplib::Request request = request_of(settings_, {"GET", path});
  bool is_stream = false;
  std::string body;
  request.response_handler = [&is_stream](const httplib::Response& response) {
    is_stream = response.status == 200 &&
                response.get_header_value("Content-Type")
                    .starts_with("text/event-stream");
    return true;
  };
  request.content_receiver = [&](const char* data, std::size_t bytes,
                                 std::uint64_t, std::uint64_t) {
    if (is_stream) return on_piece({data, bytes});
    body.append(data, bytes);
    return body.size() <= kAnswerBytesMax;
  };
  const auto result = exchange(settings_, request, kStreamMost_ms);
  if (!result) return Error{where() + ": " + advice_on(result.error())};
  return answer_of(result, std::move(body));
}

}  // namespace fealty::cli
