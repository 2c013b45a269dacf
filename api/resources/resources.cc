#include "api/resources/resources.h"

namespace fealty::api {

Routes all_routes() {
  Routes routes;
  for (const auto add :
       {add_me, add_containers, add_distros, add_custom_distros, add_domains,
        add_tags, add_loopboxes, add_alarms, add_alarm_raising, add_portmappings,
        add_metrics, add_news, add_events, add_private_containers, add_private_state, add_private_reports, add_admin}) {
    add(routes);
  }
  return routes;
}

}  // namespace fealty::api
