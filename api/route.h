#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer.h"
#include "api/current_options.h"
#include "api/database.h"
#include "api/domain_check.h"
#include "api/options.h"
#include "api/passwords.h"
#include "api/request.h"
#include "api/schema.h"
#include "api/sealer.h"
#include "base/clock.h"

namespace fealty::api {

// Who may use a route.
enum class Access : std::uint8_t {
  kAnyone,             // with or without a login; the handler sees which
  kCustomer,
  kAlarmKey,           // a customer, or ?key= of the container {uid}
  kServer,             // a verified client certificate and a known address
  kPrivileged,         // a listed client address
  kAdmin,              // over the admin listener only
};

enum class Mode : std::uint8_t { kRead, kWrite };

// What handlers work with; lives as long as the service.
struct Tools {
  const CurrentOptions& options;
  const Clock& clock;
  const Sealer& sealer;
  Passwords& passwords;
  const DomainCheck& domains;
};

struct AdminCollection;
struct Route;

// One request on its way through a route.
struct Call {
  const Request& request;
  const Tools& tools;
  const Options& options;           // those that the request began with
  const Route& route;
  Caller caller;
  std::vector<std::string> parts;   // what the pattern's {…} stand for
  Json body = nullptr;
  // What prepare() made, outside of the transaction.
  std::string password_hash = {};
  std::string rsa_private = {};     // PEM
  std::string rsa_public = {};

  [[nodiscard]] std::int64_t number(std::size_t part = 0) const;
  [[nodiscard]] std::int64_t now() const { return tools.clock.unix_s(); }
};

// Handlers run inside one transaction, and again where the database asks for it:
// they have no effects but on it. What takes long, asks others or must not be
// repeated is done in `prepare`, before: an answer of its own ends the request.
// What makes that needless is told by `before`, in a transaction that reads: one
// that refuses ends the request, too.
using Handler = Answer (*)(Call&, Transaction&);
using Prepare = std::optional<Answer> (*)(Call&);

// One method of one path. In a pattern "{uid}" stands for a number, "{name}" for
// any text without a slash.
struct Route {
  std::string_view method;
  std::string_view pattern;         // below /api, without a trailing slash
  Access access;
  Mode mode;
  Handler handler;
  std::string_view summary;
  const Schema* schema = nullptr;   // of a JSON body; null: none, or a raw one
  Prepare prepare = nullptr;
  Handler before = nullptr;
  // What a missing key is answered with.
  int missing_key_status = 400;
  std::string_view query = {};      // its keys, by commas, for the documentation
  const AdminCollection* collection = nullptr;   // of /admin/...
  bool takes_text = false;          // a raw body, for the documentation
};

using Routes = std::vector<Route>;
[[nodiscard]] inline Route with_query(Route route, std::string_view query) {
  route.query = query;
  return route;
}

[[nodiscard]] inline Route with_raw_text(Route route) {
  route.takes_text = true;
  return route;
}

// What a path and a method lead to. `path_known` without a route: 405.
struct Match {
  const Route* route = nullptr;
  bool path_known = false;
  std::string allowed;              // the methods, by commas
  std::vector<std::string> parts;
};
[[nodiscard]] Match find_route(const Routes& routes, std::string_view method,
                               std::string_view path, Entrance entrance);

}  // namespace fealty::api
