#pragma once

#include <string>
#include <vector>

#include "api/answer.h"
#include "api/database.h"
#include "api/request.h"
#include "api/route.h"
#include "api/throttle.h"

namespace fealty::api {

// A request's way, in one place: path, method, who asks, the body's size, its
// JSON, its schema, what the route prepares, its transaction. Thread-safe.
class Service {
 public:
  Service(Database& database, const Tools& tools);

  // Never throws.
  [[nodiscard]] Answer answer(const Request& request);
  [[nodiscard]] const Routes& routes() const { return routes_; }

 private:
  [[nodiscard]] Answer dispatch(const Request& request);
  [[nodiscard]] Answer serve(const Route& route, Call& call);
  [[nodiscard]] std::optional<Answer> identify(const Route& route, Call& call);
  [[nodiscard]] std::optional<Answer> log_in(Call& call);
  [[nodiscard]] std::optional<Answer> check_password(
      const Call& call, const std::string& username,
      const std::string& password, const std::string& stored);
  [[nodiscard]] std::optional<Answer> find_server(Call& call);
  [[nodiscard]] std::optional<Answer> find_privileged(const Call& call);
  [[nodiscard]] std::optional<Answer> read_body(const Route& route,
                                                Call& call) const;
  [[nodiscard]] Answer transact(const Route& route, Call& call);
  void finish(const Request& request, Answer& answer) const;

  Database& database_;
  Tools tools_;
  Routes routes_;
  Throttle failures_by_user_;
  Throttle failures_by_address_;
};

}  // namespace fealty::api
