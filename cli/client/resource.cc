#include "cli/client/resource.h"

namespace fealty::cli {

using Kind = KeyKind;

const Resource& containers() {
  static const Resource resource = {
      "container", "/containers", "/containers/", "name", "uid",
      {{"uid", "UID"}, {"name", "NAME"}, {"server", "SERVER"}, {"ip", "ADDRESS"},
       {"memory", "MEMORY"}, {"storage", "STORAGE"}, {"distro_name", "DISTRO"},
       {"custom_distro_name", "CUSTOM DISTRO"}, {"tags", "TAGS"}},
      {{"name"}, {"note"}, {"tags", Kind::kWords},
       {"ssh-key", Kind::kLines, "ssh_keys"},
       {"distro", Kind::kDistro},
       {"custom-distro", Kind::kCustomDistro, "custom_distro"},
       {"memory", Kind::kNumber}, {"storage", Kind::kNumber},
       {"quota-threshold", Kind::kNumber, "quota_threshold"},
       {"alarm-freq", Kind::kNumber, "alarm_freq"},
       {"nofollow", Kind::kFlag},
       {"custom-distros-storage", Kind::kFlag, "custom_distros_storage"},
       {"jid"}, {"jid-secret", Kind::kSecret, "jid_secret"},
       {"jid-destinations", Kind::kText, "jid_destinations"},
       {"pushover-user", Kind::kText, "pushover_user"},
       {"pushover-token", Kind::kSecret, "pushover_token"},
       {"pushover-sound", Kind::kText, "pushover_sound"},
       {"pushbullet-token", Kind::kSecret, "pushbullet_token"},
       {"slack-webhook", Kind::kSecret, "slack_webhook"},
       {"link", Kind::kContainer}, {"unlink", Kind::kContainer}}};
  return resource;
}

const Resource& domains() {
  static const Resource resource = {
      "domain", "/domains", "/domains/", "name", "id",
      {{"id", "ID"}, {"name", "NAME"}, {"tags", "TAGS"}, {"uuid", "UUID"}},
      {{"name", Kind::kText, {}, true}, {"note"}, {"tags", Kind::kWords}}};
  return resource;
}

const Resource& tags() {
  static const Resource resource = {
      "tag", "/tags", "/tags/", "name", "id",
      {{"id", "ID"}, {"name", "NAME"}, {"note", "NOTE"}},
      {{"name"}, {"note"}}};
  return resource;
}

const Resource& loopboxes() {
  static const Resource resource = {
      "loopbox", "/loopboxes", "/loopboxes/", {}, "id",
      {{"id", "ID"}, {"container", "CONTAINER"}, {"filename", "FILE"},
       {"mountpoint", "MOUNTPOINT"}, {"ro", "READ-ONLY"}, {"tags", "TAGS"}},
      {{"container", Kind::kContainer, {}, true},
       {"ro", Kind::kFlag, {}, true}, {"tags", Kind::kWords}}};
  return resource;
}

const Resource& alarms() {
  static const Resource resource = {
      "alarm", "/alarms", "/alarms/", {}, "id",
      {{"id", "ID"}, {"unix", "TIME", true}, {"container", "CONTAINER"},
       {"level", "LEVEL"}, {"class", "CLASS"}, {"vassal", "VASSAL"},
       {"msg", "MESSAGE"}},
      {}};
  return resource;
}

const Resource& distros() {
  static const Resource resource = {"distro", "/distros", {}, "name", "id",
                                    {{"id", "ID"}, {"name", "NAME"}}, {}};
  return resource;
}

const Resource& custom_distros() {
  static const Resource resource = {
      "custom distro", "/custom_distros", "/custom_distro/", "name", "id",
      {{"id", "ID"}, {"name", "NAME"}, {"container", "STORAGE"}},
      {{"name"}, {"path"}, {"note"}}};
  return resource;
}

const Resource& news() {
  static const Resource resource = {
      "news", "/news", {}, {}, "date",
      {{"date", "DATE", true}, {"content", "NEWS"}}, {}};
  return resource;
}

const Resource& me() {
  static const Resource resource = {
      "account", "/me", "/me", {}, "uuid", {},
      {{"email"}, {"company"}, {"vat"}}};
  return resource;
}

const Resource& portmappings() {
  static const Resource resource = {
      "port mapping", {}, {}, {}, "id",
      {{"id", "ID"}, {"proto", "PROTOCOL"}, {"public_port", "PORT"},
       {"container", "CONTAINER"}, {"container_ip", "ADDRESS"},
       {"private_port", "ITS PORT"}},
      {{"container", Kind::kContainer, {}, true},
       {"public-port", Kind::kNumber, "public_port", true},
       {"private-port", Kind::kNumber, "private_port", true}}};
  return resource;
}

std::span<const AdminResource> admin_resources() {
  static const std::vector<AdminResource> all = {
      {"customers", "Who has an account",
       {"customer", "/admin/customers", "/admin/customers/", "username", "id",
        {{"id", "ID"}, {"username", "USER"}, {"email", "MAIL"},
         {"company", "COMPANY"}, {"vat", "VAT"}, {"uuid", "UUID"}},
        {{"username"}, {"password", Kind::kSecret}, {"email"}, {"company"},
         {"vat"}}}},
      {"servers", "What containers run on",
       {"server", "/admin/servers", "/admin/servers/", "name", "id",
        {{"id", "ID"}, {"name", "NAME"}, {"address", "ADDRESS"}, {"hd", "DISK"},
         {"memory", "MEMORY"}, {"free_memory", "FREE"}, {"storage", "STORAGE"},
         {"free_storage", "FREE"}, {"owner", "OWNER"},
         {"datacenter", "DATACENTER"}},
        {{"name"}, {"address"}, {"hd"}, {"memory", Kind::kNumber},
         {"storage", Kind::kNumber}, {"owner"}, {"weight", Kind::kNumber},
         {"datacenter"}, {"etc-resolv-conf", Kind::kText, "etc_resolv_conf"},
         {"etc-hosts", Kind::kText, "etc_hosts"}, {"ssd", Kind::kFlag},
         {"subject"}, {"note"}}}},
      {"distros", "What containers can run",
       {"distro", "/admin/distros", "/admin/distros/", "name", "id",
        {{"id", "ID"}, {"name", "NAME"}, {"path", "PATH"}, {"note", "NOTE"}},
        {{"name"}, {"path"}, {"note"}}}},
      {"containers", "Those of all customers",
       {"container", "/admin/containers", "/admin/containers/", "uid,name", "id",
        {{"id", "ID"}, {"uid", "UID"}, {"name", "NAME"}, {"customer", "CUSTOMER"},
         {"server", "SERVER"}, {"ip", "ADDRESS"}, {"memory", "MEMORY"},
         {"storage", "STORAGE"}, {"distro", "DISTRO"}},
        {{"customer"}, {"server"}, {"name"}, {"memory", Kind::kNumber},
         {"storage", Kind::kNumber}, {"distro", Kind::kNumberOrNone}}}},
      {"domains", "Those of all customers; the DNS is not asked",
       {"domain", "/admin/domains", "/admin/domains/", "name", "id",
        {{"id", "ID"}, {"name", "NAME"}, {"customer", "CUSTOMER"},
         {"uuid", "UUID"}, {"note", "NOTE"}},
        {{"customer"}, {"name"}, {"note"}}}},
      {"legions", "Servers that share an address",
       {"legion", "/admin/legions", "/admin/legions/", "name", "id",
        {{"id", "ID"}, {"name", "NAME"}, {"address", "ADDRESS"},
         {"customer", "CUSTOMER"}, {"quorum", "QUORUM"}, {"nodes", "NODES"}},
        {{"name"}, {"address"}, {"key", Kind::kSecret}, {"customer"},
         {"quorum", Kind::kNumber}, {"nodes", Kind::kNodes}, {"note"}}}},
      {"news", "What customers are told",
       {"news", "/admin/news", "/admin/news/", {}, "id",
        {{"id", "ID"}, {"date", "DATE", true}, {"public", "PUBLIC"},
         {"content", "NEWS"}},
        {{"content"}, {"public", Kind::kFlag}}}},
      {"rules", "Firewall rules of containers",
       {"rule", "/admin/rules", "/admin/rules/", {}, "id",
        {{"id", "ID"}, {"container", "CONTAINER"}, {"direction", "DIRECTION"},
         {"action", "ACTION"}, {"src", "FROM"}, {"src_mask", "BITS"},
         {"dst", "TO"}, {"dst_mask", "BITS"}, {"target", "TARGET"}},
        {{"container", Kind::kNumber}, {"direction"}, {"action"}, {"target"},
         {"src"}, {"src-mask", Kind::kNumber, "src_mask"}, {"dst"},
         {"dst-mask", Kind::kNumber, "dst_mask"}}}},
      {"custom-services", "Services that run beside the containers",
       {"custom service", "/admin/custom_services", "/admin/custom_services/",
        "name", "id",
        {{"id", "ID"}, {"name", "NAME"}, {"customer", "CUSTOMER"},
         {"server", "SERVER"}, {"config", "CONFIGURATION"}},
        {{"name"}, {"customer"}, {"server"}, {"config"}}}},
      {"datacenters", "Where servers stand",
       {"datacenter", "/admin/datacenters", "/admin/datacenters/", "name", "id",
        {{"id", "ID"}, {"name", "NAME"}, {"description", "DESCRIPTION"},
         {"note", "NOTE"}},
        {{"name"}, {"description"}, {"note"}}}},
      {"floating-addresses", "Addresses that move between servers",
       {"floating address", "/admin/floating_addresses",
        "/admin/floating_addresses/", "address", "id",
        {{"id", "ID"}, {"address", "ADDRESS"}, {"customer", "CUSTOMER"},
         {"legion", "LEGION"}, {"mapped_to_server", "SERVER"}, {"note", "NOTE"}},
        {{"address"}, {"customer"}, {"legion"},
         {"mapped-to-server", Kind::kText, "mapped_to_server"}, {"note"}}}},
      {"privileged-clients", "Who may ask for the secret uuids",
       {"privileged client", "/admin/privileged_clients",
        "/admin/privileged_clients/", "name", "id",
        {{"id", "ID"}, {"name", "NAME"}, {"address", "ADDRESS"}},
        {{"name"}, {"address"}}}}};
  return all;
}

}  // namespace fealty::cli
