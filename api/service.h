#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/answer.h"
#include "api/database.h"
#include "api/events.h"
#include "api/request.h"
#include "api/route.h"
#include "api/throttle.h"

namespace fealty::api {

// A request's way, in one place: path, method, who asks, the body's size, its
// JSON, its schema, what the route prepares, its transaction. Thread-safe.
class Service {
 public:
  Service(Database& database, const Tools& tools);

  // What can be said without the body: a refusal, or nothing, and the request has
  // its caller. Neither throws.
  [[nodiscard]] std::optional<Answer> admit(Request& request);
  [[nodiscard]] Answer answer(Request& request);
  // For those who follow; none where the database cannot be used.
  [[nodiscard]] std::vector<Event> events_after(std::int64_t id);
  // The text, and the headers that every answer of this entrance has.
  void complete(Entrance entrance, Answer& answer) const;
  [[nodiscard]] const Routes& routes() const { return routes_; }

 private:
  using Step = std::optional<Answer> (Service::*)(Call&);

  // Something to read that no transaction is needed for; made once.
  struct Page {
    std::string_view path;
    Answer answer;
  };

  // The way as far as a step goes; nothing where that has nothing to say yet.
  [[nodiscard]] std::optional<Answer> go(Request& request, Step step);
  [[nodiscard]] std::optional<Answer> dispatch(Request& request, Step step);
  [[nodiscard]] std::optional<Answer> find_page(const Request& request,
                                                std::string_view path) const;
  [[nodiscard]] std::optional<Answer> serve(Call& call);
  [[nodiscard]] std::optional<Answer> identify(Call& call);
  [[nodiscard]] std::optional<Answer> log_in(Call& call);
  [[nodiscard]] std::optional<Answer> check_password(
      const Call& call, const std::string& username,
      const std::string& password, const std::string& stored);
  [[nodiscard]] std::optional<Answer> check_alarm_key(Call& call);
  [[nodiscard]] std::optional<Answer> find_server(Call& call);
  [[nodiscard]] std::optional<Answer> find_privileged(const Call& call);
  [[nodiscard]] std::optional<Answer> read_body(Call& call) const;
  [[nodiscard]] std::optional<Answer> prepare(Call& call);
  [[nodiscard]] Answer transact(Call& call);
  void finish(const Request& request, Answer& answer) const;

  Database& database_;
  Tools tools_;
  Routes routes_;
  const std::vector<Page> pages_;
  Throttle failures_by_user_here_;
  Throttle failures_by_user_;
  Throttle failures_by_network_;
};

}  // namespace fealty::api
