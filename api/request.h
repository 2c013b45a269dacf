#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fealty::api {

// By which listener a request came.
enum class Entrance : std::uint8_t { kPublic, kAdmin };

// Who asks.
struct Caller {
  enum class Kind : std::uint8_t {
    kNobody,
    kCustomer,
    kContainer,        // by its alarm key
    kServer,
    kAdmin,
  };
  Kind kind = Kind::kNobody;
  std::int64_t id = 0;              // of the customer, the container, the server
  std::string uuid;                 // of the customer
  std::string name;
  // What he was known by: who has another one meanwhile has to ask again.
  std::string password_hash = {};   // of the customer
  std::string subject = {};         // the server's own, "": any
};

// A request as the listener hands it over: decoded, its body whole once it is to
// be answered. Header fields that are not there are "".
struct Request {
  Entrance entrance = Entrance::kPublic;
  std::string method;
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;
  bool body_too_large = false;      // `body` is not all of it then
  std::string host;                 // who was asked, in lower case, no port
  std::string forwarded_host;       // and by the router, as it says
  std::string address;              // the client's, as the router says
  std::string subject;              // of its certificate, as the router says
  std::string authorization;
  std::string hex_username;
  std::string hex_password;
  std::string if_none_match;
  std::string idempotency_key;
  std::string last_event_id;
  // A browser says that a page of another site sent it, as one may without asking
  // first (a form); and whose page.
  bool foreign_form = false;
  std::string origin;
  // A router or a browser sent it: whoever is behind those is not on this host.
  bool passed_on = false;
  // Who asks, where that was found out before the body came.
  std::optional<Caller> caller = {};

  // The last value of a query's key.
  [[nodiscard]] std::optional<std::string> asked(std::string_view key) const {
    for (auto at = query.rbegin(); at != query.rend(); ++at) {
      if (at->first == key) return at->second;
    }
    return std::nullopt;
  }
};

}  // namespace fealty::api
