#pragma once

#include "api/resources/admin_collection.h"

namespace fealty::api {

// admin_people.cc
[[nodiscard]] const AdminCollection& admin_customers();
[[nodiscard]] const AdminCollection& admin_containers();
[[nodiscard]] const AdminCollection& admin_domains();
[[nodiscard]] const AdminCollection& admin_custom_services();
[[nodiscard]] const AdminCollection& admin_news();
[[nodiscard]] const AdminCollection& admin_rules();
// admin_platform.cc
[[nodiscard]] const AdminCollection& admin_servers();
[[nodiscard]] const AdminCollection& admin_datacenters();
[[nodiscard]] const AdminCollection& admin_distros();
[[nodiscard]] const AdminCollection& admin_legions();
[[nodiscard]] const AdminCollection& admin_floating_addresses();
[[nodiscard]] const AdminCollection& admin_privileged_clients();

// A numeric IPv4 or IPv6 address in the one form that addresses are compared in.
inline constexpr std::string_view kAddressAbout =
    "a numeric IP address in its shortest form";
[[nodiscard]] bool is_ip_address(std::string_view text);

}  // namespace fealty::api
