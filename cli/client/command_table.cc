#include "cli/client/command_table.h"

#include <cstdio>
#include <exception>

#include "cli/client/runs.h"
#include "cli/client/visible.h"

namespace fealty::cli {
namespace {

const Parameter kUid = {"UID", "The container: its uid or its name"};
const Parameter kDomain = {"DOMAIN", "The domain: its name or its id"};
const Parameter kChanges = {std::string(kSettings),
                            "KEY=VALUE; @FILE as a value is what the file holds",
                            Take::kMany};
const Parameter kTagsFilter = {"--tags", "Only those with one of these: a,b",
                               Take::kOptional, "tags"};
const Parameter kNote = {"--note", "Free text", Take::kOptional, "note"};

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    out += (out.empty() ? "" : ", ") + std::string(word);
  }
  return out;
}

std::vector<ClientCommand> account_commands() {
  return {
      {"login", "Log in to an API; the password is asked for", runs::log_in,
       {{"URL", "https://HOST/api", Take::kOptional},
        {"--password-stdin", "The password is stdin's first line", Take::kFlag}},
       &me()},
      {"logout", "Forget a login", runs::log_out, {}, &me()},
      {"profiles", "The logins there are", runs::list_profiles, {}, &me()},
      {"me", "Your data", runs::show, {}, &me()},
      {"me set", "Change them", runs::set_me, {kChanges},
       &me()},
      {"me password", "Change the password; it is asked for",
       runs::change_password,
       {{"--new-password-stdin", "The new one is stdin's first line",
         Take::kFlag},
        {"--new-password-file", "The new one is this file's first line",
         Take::kOptional}},
       &me()}};
}

std::vector<ClientCommand> container_commands() {
  static const Resource renewed = [] {
    Resource out = containers();
    out.item = "/regenerate_secret_uuid/";
    return out;
  }();
  const Resource* const of = &containers();
  const auto pair = [](const char* key) {
    return std::vector<Parameter>{
        kUid, {"OTHER", "The other container", Take::kOne, key}};
  };
  return {
      {"containers", "Your containers", runs::list, {kTagsFilter}, of},
      {"container", "All of a container", runs::show,
       {{"UID", kUid.about, Take::kOptional}}, of},
      {"container set", "Change it: fealty container UID set KEY=VALUE...",
       runs::set,
       {{"UID", kUid.about, Take::kOptional}, kChanges}, of},
      {"container show", "All of it", runs::show,
       {{"UID", kUid.about, Take::kOptional}}, of},
      {"container domains", "The domains that it served today", runs::list,
       {{"UID", kUid.about, Take::kOptional}}, &domains(), "", "",
       "/containers/{}/domains"},
      {"container create", "A new one on a server of yours", runs::add,
       {{"--server", "The server's address", Take::kOne, "server"},
        {"--name", "Its name", Take::kOne, "name"},
        {"--memory", "MB", Take::kOne, "memory"},
        {"--storage", "MB", Take::kOne, "storage"}}, of},
      {"reboot", "Reboot a container", runs::set, {kUid}, of,
       R"({"reboot": 1})", "reboots"},
      {"secret-uuid", "Another secret uuid for a container", runs::set, {kUid},
       &renewed, "", "has another secret uuid"},
      {"link", "Let a container talk to another, which must link back",
       runs::set, pair("link"), of, "",
       "linked; it counts once the other one links back"},
      {"unlink", "Take that back", runs::set, pair("unlink"), of, "",
       "unlinked"}};
}

std::vector<ClientCommand> domain_commands() {
  static const Resource serving = [] {
    Resource out = containers();
    out.columns = {{"uid", "UID"}};
    return out;
  }();
  const Resource* const of = &domains();
  return {
      {"domains", "Your domains", runs::list, {kTagsFilter}, of},
      {"domains list", "Your domains", runs::list, {kTagsFilter}, of},
      {"domains add", "A new one; its zone must say that it is yours",
       runs::add_domain, {{"NAME", "example.com", Take::kOne, "name"}}, of},
      {"domains remove", "Take it away", runs::remove, {kDomain}, of},
      {"domain", "All of a domain", runs::show,
       {{"DOMAIN", kDomain.about, Take::kOptional}}, of},
      {"domain show", "All of it", runs::show,
       {{"DOMAIN", kDomain.about, Take::kOptional}}, of},
      {"domain containers", "The containers that served it today", runs::list,
       {{"DOMAIN", kDomain.about, Take::kOptional}}, &serving, "", "",
       "/domains/{}/containers"},
      {"domain set", "Change it: fealty domain DOMAIN set KEY=VALUE...",
       runs::set,
       {{"DOMAIN", kDomain.about, Take::kOptional}, kChanges}, of}};
}

std::vector<ClientCommand> tag_commands() {
  const Resource* const of = &tags();
  const Parameter tag = {"TAG", "The tag: its name or its id"};
  return {{"tags", "Your tags", runs::list, {}, of},
          {"tags list", "Your tags", runs::list, {}, of},
          {"tags show", "All of one", runs::show, {tag}, of},
          {"tags add", "A new one", runs::add,
           {{"NAME", "Its name", Take::kOne, "name"}, kNote}, of},
          {"tags rename", "Another name", runs::set,
           {tag, {"NAME", "Its new name", Take::kOne, "name"}}, of},
          {"tags set", "Change it", runs::set, {tag, kChanges}, of},
          {"tags remove", "Take it away, from what bears it too", runs::remove,
           {tag}, of}};
}

std::vector<ClientCommand> loopbox_commands() {
  const Resource* const of = &loopboxes();
  const Parameter id = {"ID", "The loopbox's number"};
  const std::vector<Parameter> filters = {
      {"--container", "Only this container's", Take::kOptional, "container"},
      kTagsFilter};
  return {{"loopboxes", "Your loopboxes", runs::list, filters, of},
          {"loopboxes list", "Your loopboxes", runs::list, filters, of},
          {"loopboxes show", "All of one", runs::show, {id}, of},
          {"loopboxes add", "Mount an image file in a container", runs::add,
           {{"UID", kUid.about, Take::kOne, "container"},
            {"FILE", "The image, below the home", Take::kOne, "filename"},
            {"MOUNTPOINT", "A folder below the home", Take::kOne, "mountpoint"},
            {"--ro", "Read-only", Take::kFlag, "ro"}}, of},
          {"loopboxes set", "Change its tags", runs::set,
           {id, kChanges}, of},
          {"loopboxes remove", "Unmount it; the file stays", runs::remove, {id},
           of}};
}

std::vector<ClientCommand> portmapping_commands() {
  const Resource* const of = &portmappings();
  const std::string at = "/portmappings/{}";
  const Parameter server = {"SERVER", "The address of a server of yours"};
  const Parameter proto = {"PROTOCOL", "tcp or udp", Take::kOne, "proto"};
  const Parameter port = {"PORT", "The server's", Take::kOne, "public_port"};
  return {{"portmappings", "Ports of your servers", nullptr},
          {"portmappings list", "Those of a server", runs::list, {server}, of,
           "", "", at},
          {"portmappings add", "Map a port to one of a container", runs::add,
           {server, proto, port, {"UID", kUid.about, Take::kOne, "container"},
            {"ITS_PORT", "The container's", Take::kOne, "private_port"}},
           of, "", "", at},
          {"portmappings remove", "Take a mapping away", runs::remove_mapping,
           {server, proto, port}, of, "", "", at}};
}

std::vector<ClientCommand> alarm_commands() {
  static const Resource raised = [] {
    Resource out = containers();
    out.keys.clear();
    return out;
  }();
  const Parameter id = {"ID", "The alarm's number"};
  const auto filter = [](const char* name, const char* about) {
    return Parameter{std::string("--") + name, about, Take::kOptional, name};
  };
  const std::vector<Parameter> about_it = {
      filter("class", "Its class"),       filter("vassal", "The application"),
      filter("color", "#rrggbb"),
      filter("level", "1 user, 2 exception, 3 traceback, 4 log"),
      filter("line", "The line"),         filter("filename", "The file"),
      filter("func", "The function")};
  std::vector<Parameter> listed = about_it;
  listed.push_back(filter("container", "Only this container's"));
  listed.push_back(filter("range", "N, or FROM-TO; TO-FROM turns it around"));
  listed.push_back({"--follow", "Show new ones as they come", Take::kFlag});
  std::vector<Parameter> raising = {
      kUid, {"MESSAGE", "What it says; without one, stdin", Take::kOptional}};
  raising.insert(raising.end(), about_it.begin(), about_it.end());
  raising.push_back(filter("unix", "When, in seconds since 1970"));
  return {{"alarms", "Your containers' alarms, newest first", runs::list_alarms,
           listed, &alarms()},
          {"alarm", "One of them", nullptr},
          {"alarm show", "All of it", runs::show, {id}, &alarms()},
          {"alarm remove", "Take it away", runs::remove, {id}, &alarms()},
          {"alarm raise", "Raise one", runs::raise_alarm, raising, &raised},
          {"alarm-key",
           "The key that raises a container's alarms without a login",
           runs::show_alarm_key,
           {kUid, {"--renew", "Another key; the old one is void", Take::kFlag}},
           &raised}};
}

std::vector<ClientCommand> other_commands() {
  const Resource* const custom = &custom_distros();
  const Parameter id = {"CUSTOM_DISTRO", "Its name or its id"};
  const std::vector<Parameter> usable = {
      {"--usable-by", "Those that this container may use", Take::kOptional}};
  return {{"distros", "What containers can run", runs::list, {}, &distros()},
          {"custom-distros", "Your own", runs::list_custom_distros, usable,
           custom},
          {"custom-distros list", "Your own", runs::list_custom_distros, usable,
           custom},
          {"custom-distros add", "A new one, of a storage container",
           runs::add,
           {{"STORAGE", "The container that stores it"},
            {"NAME", "Its name", Take::kOne, "name"},
            {"PATH", "Its folder below distros/", Take::kOne, "path"}, kNote},
           custom, "", "", "/custom_distros/{}"},
          {"custom-distros show", "All of it", runs::show, {id}, custom},
          {"custom-distros set", "Change it", runs::set,
           {id, kChanges}, custom},
          {"custom-distros remove", "Take it away", runs::remove, {id}, custom},
          {"metrics", "A day's samples", runs::show_metrics,
           {{"TARGET", "A container, or a domain"},
            {"METRIC", joined(kContainerMetrics) + "; of a domain " +
                           joined(kDomainMetrics)},
            {"--day", "YYYY-MM-DD, UTC's [today]", Take::kOptional},
            {"--plot", "As a chart", Take::kFlag}},
           &containers()},
          {"news", "What your supplier has to say", runs::list, {}, &news()}};
}

std::vector<ClientCommand> admin_commands() {
  std::vector<ClientCommand> out = {
      {"admin", "The operator's side, by the API's admin listener", nullptr}};
  for (const AdminResource& each : admin_resources()) {
    const std::string path = "admin " + std::string(each.name);
    const Resource* const of = &each.resource;
    const Parameter id = {"ID", "Its number" + std::string(of->called.empty()
                                                               ? ""
                                                               : " or its name")};
    out.push_back({path, std::string(each.about), runs::list, {}, of});
    out.push_back({path + " list", "All of them", runs::list, {}, of});
    out.push_back({path + " show", "One of them", runs::show, {id}, of});
    out.push_back({path + " add", "A new one", runs::add, {kChanges}, of});
    out.push_back({path + " set", "Change it", runs::set, {id, kChanges}, of});
    out.push_back({path + " remove", "Take it away", runs::remove, {id}, of});
  }
  return out;
}

}  // namespace

const std::vector<ClientCommand>& client_commands() {
  static const std::vector<ClientCommand> all = [] {
    std::vector<ClientCommand> out;
    for (auto commands :
         {account_commands(), container_commands(), domain_commands(),
          tag_commands(), loopbox_commands(), portmapping_commands(),
          alarm_commands(), other_commands(), admin_commands()}) {
      out.insert(out.end(), commands.begin(), commands.end());
    }
    return out;
  }();
  return all;
}

const std::vector<Parameter>& connection_options(const ClientCommand& command) {
  static const Parameter json = {"--json", "What the API said, for programs",
                                 Take::kFlag};
  static const Parameter timeout = {"--timeout",
                                    "How long to wait for a whole answer",
                                    Take::kOptional, "", "30s"};
  static const std::vector<Parameter> of_admin = {
      {"--admin", "The API's admin listener: ip:port or unix:/path",
       Take::kOptional, "", "unix:/run/fealty/api-admin.sock"},
      timeout, json};
  static const std::vector<Parameter> of_customers = {
      {"--profile", "Which login [FEALTY_PROFILE, or the last one]",
       Take::kOptional},
      {"--url", "Another API [FEALTY_URL, or the login's]", Take::kOptional},
      {"--user", "Another user", Take::kOptional},
      {"--password-file", "The password is this file's first line",
       Take::kOptional},
      {"--ca", "Trust the CAs of this file (PEM) in place of the system's",
       Take::kOptional},
      {"--insecure", "Let the password go over plain HTTP", Take::kFlag},
      timeout, json};
  const bool is_admin = command.path == "admin" || command.is_admin();
  return is_admin ? of_admin : of_customers;
}

int run_client_call(const ClientCall& call) {
  const auto run = [&call]() -> Done {
    try {
      Session session(call);
      return call.command->run(session);
    } catch (const std::exception& unforeseen) {
      return Problem(visible(unforeseen.what()));
    }
  };
  const Done done = run();
  if (done) return kExitFine;
  if (!done.error().message.empty()) {
    std::fprintf(stderr, "fealty %s: %s\n", call.command->path.c_str(),
                 done.error().message.c_str());
  }
  return done.error().exit_code;
}

}  // namespace fealty::cli
