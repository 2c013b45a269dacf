#pragma once

#include "cli/client/session.h"

namespace fealty::cli::runs {

// What commands do. Those that fit every resource of the table:
[[nodiscard]] Done list(Session& session);
[[nodiscard]] Done show(Session& session);
[[nodiscard]] Done add(Session& session);
[[nodiscard]] Done set(Session& session);
[[nodiscard]] Done remove(Session& session);
[[nodiscard]] Done remove_mapping(Session& session);

// And those that are different (account.cc, alarms.cc, metrics.cc, runs.cc).
[[nodiscard]] Done log_in(Session& session);
[[nodiscard]] Done log_out(Session& session);
[[nodiscard]] Done list_profiles(Session& session);
[[nodiscard]] Done set_me(Session& session);
[[nodiscard]] Done change_password(Session& session);
[[nodiscard]] Done add_domain(Session& session);
[[nodiscard]] Done list_custom_distros(Session& session);
[[nodiscard]] Done list_alarms(Session& session);
[[nodiscard]] Done raise_alarm(Session& session);
[[nodiscard]] Done show_alarm_key(Session& session);
[[nodiscard]] Done show_metrics(Session& session);

// For those: the query of the options that were given; the object to send; the
// number of the first operand, and the command's own path with it.
[[nodiscard]] Result<std::string, Problem> query_of(Session& session);
[[nodiscard]] Result<Json, Problem> body_of(Session& session);
[[nodiscard]] Result<std::int64_t, Problem> target_of(Session& session);
[[nodiscard]] Result<std::string, Problem> path_of(Session& session);

}  // namespace fealty::cli::runs
