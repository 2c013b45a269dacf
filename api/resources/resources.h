#pragma once

#include "api/route.h"

namespace fealty::api {

// Every route of the API; the order is the documentation's.
[[nodiscard]] Routes all_routes();

void add_me(Routes& routes);
void add_containers(Routes& routes);
void add_distros(Routes& routes);
void add_custom_distros(Routes& routes);
void add_domains(Routes& routes);
void add_tags(Routes& routes);
void add_loopboxes(Routes& routes);
void add_alarms(Routes& routes);
void add_alarm_raising(Routes& routes);
void add_portmappings(Routes& routes);
void add_metrics(Routes& routes);
void add_news(Routes& routes);
void add_events(Routes& routes);
void add_private_state(Routes& routes);
void add_private_containers(Routes& routes);
void add_private_reports(Routes& routes);
void add_admin(Routes& routes);

// [{rsa, domains[{name, mtime}]}] of the customers that `where` leaves.
[[nodiscard]] Json domains_rsa(Transaction& transaction, std::string_view where,
                               const Values& values);

// POST /containers/UID, container_update.cc.
[[nodiscard]] Answer update_container(Call& call, Transaction& transaction);
[[nodiscard]] const Schema& container_schema();

}  // namespace fealty::api
