#include "api/http_request.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace fealty::api {
namespace {

using http::RequestHead;

// The value of a field that is there once; "" where it is not, or again.
std::string_view only(const RequestHead& head, std::string_view lower) {
  std::string_view found;
  std::size_t count = 0;
  for (std::size_t i = 0; i < head.field_count; ++i) {
    if (!http::equals_ignoring_case(head.fields[i].name, lower)) continue;
    found = head.fields[i].value;
    ++count;
  }
  return count == 1 ? found : std::string_view{};
}

bool has(const RequestHead& head, std::string_view lower) {
  const std::span fields(head.fields.data(), head.field_count);
  return std::any_of(fields.begin(), fields.end(), [&](const auto& field) {
    return http::equals_ignoring_case(field.name, lower);
  });
}

// Of the last proxy before the router nothing is known, so the last word counts.
std::string last_of(std::string_view list) {
  std::string_view last;
  http::for_each_token(list, [&](std::string_view token) { last = token; });
  return std::string(last);
}

// Nothing where an escape is broken or gives a NUL.
std::optional<std::string> decoded(std::string_view raw) {
  std::string text(raw);
  const std::size_t bytes = http::percent_decode(raw, text.data());
  if (bytes == SIZE_MAX) return std::nullopt;
  text.resize(bytes);
  return text;
}
std::optional<std::string> form_decoded(std::string_view raw) {
  std::string text(raw);
  std::replace(text.begin(), text.end(), '+', ' ');
  return decoded(text);
}

bool read_query(std::string_view raw, Request& out) {
  while (!raw.empty()) {
    const std::size_t end = std::min(raw.find('&'), raw.size());
    const std::string_view part = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    auto key = form_decoded(part.substr(0, equals));
    auto value = form_decoded(part.substr(std::min(equals + 1, part.size())));
    if (!key || !value || out.query.size() == kQueryKeysMax) return false;
    out.query.emplace_back(*std::move(key), *std::move(value));
  }
  return true;
}

void identify_client(const RequestHead& head, const Peer& peer, Request& out) {
  out.address = peer.address.host();
  if (!peer.trusted) return;
  // One field of each: the router writes them, and takes a client's away.
  if (const auto chain = only(head, "x-forwarded-for"); !chain.empty()) {
    out.address = last_of(chain);
  }
  out.subject = only(head, "x-client-dn");
  out.forwarded_host = host_of(only(head, "x-forwarded-host"));
}

// A name or an address that only this host has.
bool is_loopback(const std::string& host) {
  static const Network v4 = *Network::parse("127.0.0.0/8");
  static const Network v6 = *Network::parse("::1/128");
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto address = Address::parse(host + ":1");
  return address && (v4.contains(*address) || v6.contains(*address));
}

// By the fetch standard: what needs no preflight is of these types, and POST is
// the only such method that writes. A site's other hosts are customers'.
bool is_foreign_form(const RequestHead& head, const Request& request) {
  std::string type(only(head, "content-type"));
  type.erase(std::min(type.find(';'), type.size()));
  while (type.ends_with(' ')) type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  const bool is_form = type.empty() || type == "text/plain" ||
                       type == "multipart/form-data" ||
                       type == "application/x-www-form-urlencoded";
  if (!is_form) return false;
  const std::string_view site = only(head, "sec-fetch-site");
  if (has(head, "sec-fetch-site")) {
    return site != "same-origin" && site != "none";
  }
  if (!has(head, "origin")) return false;
  std::string_view origin = request.origin;
  origin.remove_prefix(std::min(origin.size(), origin.find("://")));
  origin.remove_prefix(std::min(origin.size(), std::size_t{3}));
  const std::string host = host_of(origin);
  return host.empty() ||
         (host != request.host && host != request.forwarded_host);
}

const char* phrase_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Refused";
  }
}

}  // namespace

std::string host_of(std::string_view authority) {
  http::Host host;
  if (authority.empty() || !http::normalise_host(authority, host)) return {};
  return std::string(host.host());
}

std::string network_of(const std::string& address) {
  std::array<unsigned char, 16> bytes{};
  if (address.find(':') == std::string::npos ||
      ::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) {
    return address;
  }
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  return std::string(text.data()) + "/64";
}

Result<Request, Answer> read_request(const RequestHead& head,
                                     const Peer& peer) {
  Request out;
  out.entrance = peer.entrance;
  out.method = head.method;
  auto path = decoded(head.path.empty() ? "/" : head.path);
  if (!path || head.path.size() > kPathBytesMax) {
    return bad_request("the path is no text, or longer than " +
                       std::to_string(kPathBytesMax) + " bytes");
  }
  out.path = *std::move(path);
  if (!read_query(head.query, out)) {
    return bad_request("the query is no text, or has more than " +
                       std::to_string(kQueryKeysMax) + " keys");
  }
  out.host = host_of(head.authority);
  identify_client(head, peer, out);
  out.authorization = only(head, "authorization");
  out.hex_username = only(head, "x-uwsgi-it-username");
  out.hex_password = only(head, "x-uwsgi-it-password");
  out.if_none_match = only(head, "if-none-match");
  out.idempotency_key = only(head, "idempotency-key");
  if (out.idempotency_key.empty() && has(head, "idempotency-key")) {
    return bad_request("Idempotency-Key: one, and not empty, is expected");
  }
  out.last_event_id = only(head, "last-event-id");
  out.origin = only(head, "origin");
  out.foreign_form = is_foreign_form(head, out);
  for (const char* const name :
       {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-client-dn", "origin", "sec-fetch-site"}) {
    out.passed_on = out.passed_on || has(head, name);
  }
  // A page's name may have been made to resolve to the loopback.
  const bool is_administration =
      peer.entrance == Entrance::kAdmin && !peer.address.is_unix();
  if (is_administration && !is_loopback(out.host)) out.passed_on = true;
  return out;
}

std::string encode_answer(const Answer& answer, bool to_head) {
  const bool has_body = answer.status != 204 && answer.status != 304;
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " " +
                    phrase_of(answer.status) + "\r\n";
  for (const auto& [name, value] : answer.headers) {
    out.append(name).append(": ").append(value).append("\r\n");
  }
  if (has_body) {
    out.append("Content-Type: ").append(answer.type).append("\r\n");
  }
  // A stream ends with its connection.
  if (has_body && !answer.follow) {
    out.append("Content-Length: ")
        .append(std::to_string(answer.text.size()))
        .append("\r\n");
  }
  out += "Connection: close\r\n\r\n";
  if (has_body && !to_head) out += answer.text;
  return out;
}

}  // namespace fealty::api
