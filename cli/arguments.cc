#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string_view>

#include "base/version.h"
#include "cli/client/command_line.h"
#include "cli/client/visible.h"

namespace fealty::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  A Node.js application, for as long as it runs:\n"
    "    fealty subscribe --server unix:/run/subscribe/http --key example.com \\\n"
    "        --addr 127.0.0.1:3000 -- node server.js\n"
    "  Signed, with a certificate, on a Unix socket:\n"
    "    fealty subscribe --server unix:/run/subscribe/http --key example.com \\\n"
    "        --addr $HOME/run/app.sock --sign SHA1:$HOME/etc/uwsgi.key \\\n"
    "        --sni-key $HOME/etc/site.key --sni-crt $HOME/etc/site.crt \\\n"
    "        -- gunicorn --bind unix:$HOME/run/app.sock app:application\n"
    "  Something that runs already, for as long as it is healthy:\n"
    "    fealty subscribe --server 127.0.0.1:2626 --key example.com \\\n"
    "        --addr 127.0.0.1:3000 --check-url /healthz\n"
    "\n"
    "TERM and INT: the router is told first; --drain later COMMAND gets the\n"
    "signal. Other signals are passed on. Ends with COMMAND's exit code, 128 and\n"
    "the signal's number where one killed it; 127 and 126 where it cannot be\n"
    "started; 0 without COMMAND. 1: something is wrong with a file; 2: usage.";

constexpr const char* kRouterExamples =
    "Examples:\n"
    "  fealty router stats\n"
    "  fealty router explain www.example.com --path /shop\n"
    "  fealty router drain example.com 127.0.0.1:3000\n"
    "  fealty router health --admin unix:/run/fealty/admin.sock\n"
    "\n"
    "Ends with 0; with 1 where the router says no (not ready, nothing answers for\n"
    "HOST, no such node) or cannot be reached; with 2 for a wrong usage.";

constexpr std::uint32_t kWeightMax = 1'000'000;

// As packets have numbers: 010 is no eight here.
CLI::Validator decimal() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        const bool fits =
            !text.empty() && (text == "0" || text.front() != '0') &&
            text.find_first_not_of("0123456789") == text.npos;
        return fits ? "" : "a decimal number is expected, not " + text;
      },
      "");
}

void define_logging(CLI::App& app, Arguments& arguments) {
  app.add_option("--log-format", arguments.log_format, "text or json")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, log::Format>{{"text", log::Format::kText},
                                             {"json", log::Format::kJson}}));
  app.add_option("--log-level", arguments.log_level,
                 "debug, info, warning or error")
      ->transform(CLI::CheckedTransformer(std::map<std::string, log::Level>{
          {"debug", log::Level::kDebug},
          {"info", log::Level::kInfo},
          {"warning", log::Level::kWarning},
          {"error", log::Level::kError}}));
}

void define_node(CLI::App& app, SubscribeArguments& out) {
  app.add_option("--server", out.servers,
                 "The router's subscription server: ip:port or unix:/path; may "
                 "be given several times")
      ->required()
      ->allow_extra_args(false);
  app.add_option("--key", out.keys,
                 "What to answer for: a domain, .domain for all below it, "
                 "domain:port, domain/path; several times")
      ->required()
      ->allow_extra_args(false);
  app.add_option("--addr", out.address,
                 "Where the router reaches the application: ip:port, or the "
                 "absolute path of a Unix socket")
      ->required();
  app.add_option("--proto", out.proto,
                 "What the application speaks: http (h) or uwsgi (u); fastcgi "
                 "(f) and scgi (s) are announced, but Fealty's routers refuse "
                 "them")
      ->check(CLI::IsMember(
          {"http", "h", "uwsgi", "u", "fastcgi", "f", "scgi", "s"}))
      ->capture_default_str();
  app.add_option("--weight", out.weight, "Turns in the round")
      ->check(decimal() & CLI::Range(std::uint32_t{0}, kWeightMax))
      ->capture_default_str();
  app.add_option("--modifier1", out.modifier1, "uwsgi: the request modifier")
      ->check(decimal() & CLI::Range(0, 255));
  app.add_option("--modifier2", out.modifier2, "uwsgi: the second modifier")
      ->check(decimal() & CLI::Range(0, 255));
  app.add_option("--backup", out.backup,
                 "Backup level: used when no node of a lower level is alive")
      ->check(decimal() & CLI::Range(std::uint32_t{0}, UINT32_MAX));
  app.add_option("--algo", out.algo, "How the nodes of this key take turns")
      ->check(CLI::IsMember({"wrr", "lrc", "wlrc", "iphash", "sticky"}));
}

void define_trust(CLI::App& app, SubscribeArguments& out) {
  app.add_option("--sign", out.sign,
                 "Sign with this private key (PEM; RSA, EC or Ed25519): "
                 "SHA1:FILE, SHA256:FILE or SHA512:FILE");
  auto* const key = app.add_option("--sni-key", out.sni_key,
                                   "HTTPS: the certificate's private key");
  auto* const crt = app.add_option("--sni-crt", out.sni_crt,
                                   "HTTPS: the certificate and its chain");
  key->needs(crt);
  crt->needs(key);
  app.add_option("--sni-ca", out.sni_ca,
                 "HTTPS: clients' certificates come from this CA; with ! in "
                 "front they must have one")
      ->needs(crt);
  app.add_flag("--embed-sni", out.embed_sni,
               "Send the files' text instead of their paths, to routers that "
               "cannot read them")
      ->needs(crt);
}

void define_course(CLI::App& app, SubscribeArguments& out) {
  app.add_option("--notify", out.notify,
                 "Datagram socket that the router acknowledges to, opened here "
                 "unless it is somebody's already; none for no acknowledgement "
                 "[an own one, where the router is on this host]");
  auto* const every =
      app.add_option("--every", out.every, "How often to announce (500ms, 10s)")
          ->capture_default_str();
  auto* const once =
      app.add_flag("--once", out.once, "Announce once, and end")
          ->excludes(every);
  app.add_flag("--unsubscribe", out.unsubscribe, "With --once: take it back")
      ->needs(once);
  app.add_option("--drain", out.drain,
                 "Between the router's being told and COMMAND's getting TERM or "
                 "INT: time for the requests that it is at")
      ->capture_default_str();
  auto* const url = app.add_option(
      "--check-url", out.check_url,
      "Announced only while this answers with 2xx or 3xx: http://host:port/path, "
      "or /path at the application's address");
  auto* const address = app.add_option(
      "--check-address", out.check_address,
      "Where the application is reached from here, if not at --addr");
  app.add_flag("--no-check", out.no_check,
               "Announce without looking whether anything listens")
      ->excludes(url)
      ->excludes(address);
  app.add_option("--chmod-socket", out.chmod_socket,
                 "Once COMMAND listens on its Unix socket, give that this mode "
                 "(666: routers of all users may connect)");
  app.add_flag("--keep-notify-socket", out.keep_notify_socket,
               "Leave systemd's NOTIFY_SOCKET and WATCHDOG_USEC to COMMAND too");
}

void define_subscribe(CLI::App& app, SubscribeArguments& out) {
  define_node(app, out);
  define_trust(app, out);
  define_course(app, out);
  app.footer(kExamples);
}

using Action = RouterArguments::Action;

CLI::App* define_action(CLI::App& router, RouterArguments& out,
                        const char* name, const char* what, Action action) {
  CLI::App* const app = router.add_subcommand(name, what);
  app->callback([&out, action] { out.action = action; });
  app->add_option("--admin", out.admin,
                  "The router's admin listener: ip:port or unix:/path")
      ->capture_default_str();
  return app;
}

void define_router(CLI::App& app, RouterArguments& out) {
  app.require_subcommand(1);
  app.footer(kRouterExamples);
  CLI::App* action =
      define_action(app, out, "stats", "Its pools and nodes", Action::kStats);
  action->add_flag("--json", out.json, "What the router said, as it is");
  action->add_option("--key", out.key, "Only this pool");
  action = define_action(app, out, "explain",
                         "Who would answer for a host, and why",
                         Action::kExplain);
  action->add_option("HOST", out.host, "As in a request's Host header")
      ->required();
  action->add_option("--path", out.path, "The request's path");
  action->add_flag("--json", out.json, "What the router said, as it is");
  action = define_action(app, out, "drain",
                         "A node gets no new requests, and stays known",
                         Action::kDrain);
  action->add_option("KEY", out.key)->required();
  action->add_option("NODE", out.node, "Its address as stats shows it")
      ->required();
  action = define_action(app, out, "undrain", "It gets requests again",
                         Action::kUndrain);
  action->add_option("KEY", out.key)->required();
  action->add_option("NODE", out.node)->required();
  define_action(app, out, "health", "Whether it takes requests: 0 or 1",
                Action::kHealth);
}

void define_legion(CLI::App& app, LegionArguments& out) {
  app.require_subcommand(1);
  app.footer("Ends with 0; with 1 where a Legion has no quorum, is not there, or "
             "the member\ncannot be reached; with 2 for a wrong usage.");
  CLI::App* const status = app.add_subcommand(
      "status", "Members, votes, the Lord, and why there is no quorum");
  status
      ->add_option("--admin", out.admin,
                   "The member's admin listener: ip:port or unix:/path")
      ->capture_default_str();
  status->add_option("LEGION", out.name, "Only this one");
  status->add_flag("--json", out.json, "What the member said, as it is");
}

void define_api(CLI::App& app, ApiArguments& out) {
  app.require_subcommand(1);
  app.footer("Ends with 0; with 1 where the API or a file cannot be used; with 2 "
             "for a wrong\nusage.");
  CLI::App* const sync = app.add_subcommand(
      "sync-keys",
      "Write the customers' public keys, a DOMAIN.pem each, into a router's "
      "key directory");
  sync->add_option("DIR", out.directory, "The router's sign_check.keys")
      ->required();
  sync->add_option("--server", out.server,
                   "Only customers with a container on this server");
  sync->add_flag("--force", out.force,
                 "Take away all keys, or most of them, if the API lists no more");
  sync->add_option("--admin", out.admin,
                   "The API's admin listener: ip:port or unix:/path")
      ->capture_default_str();
}

void define_completion(CLI::App& app, CompletionArguments& out,
                       std::string& line) {
  app.footer(
      "Examples:\n"
      "  bash: source <(fealty completion bash)\n"
      "  zsh:  source <(fealty completion zsh)\n"
      "  fish: fealty completion fish | source\n"
      "\n"
      "Names of containers, domains and tags are the API's, where you are logged "
      "in.");
  auto* const shell =
      app.add_option("SHELL", out.shell, "Whose script is printed")
          ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app.add_option("--line", line, "What may stand at the end of this line")
      ->excludes(shell);
}

// How many letters are to be added, taken away or changed.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// The command that the first word which nothing was made of is close to.
std::string meant_command(const CLI::App& app) {
  constexpr std::size_t kTypos = 2;
  const CLI::App* last = &app;
  while (!last->get_subcommands().empty()) last = last->get_subcommands()[0];
  const auto words = app.remaining(true);
  std::string meant;
  std::size_t typos = kTypos + 1;
  for (const CLI::App* const each :
       last->get_subcommands([](const CLI::App*) { return true; })) {
    const std::size_t away =
        words.empty() ? typos : distance(words.front(), each->get_name());
    if (away < typos) {
      typos = away;
      meant = each->get_name();
    }
  }
  return meant;
}

}  // namespace

std::variant<Arguments, EarlyEnd> parse_arguments(int argc,
                                                  const char* const* argv) {
  const auto end = argv + argc;
  const auto dashes = std::find(argv, end, std::string_view("--"));
  Arguments arguments;
  SubscribeArguments subscribe;
  RouterArguments router;
  LegionArguments legion;
  ApiArguments api;
  CompletionArguments completion;
  std::string line;
  CLI::App app("Announces applications to a Fealty router, asks it, and manages "
               "what you\nhave by the REST API.",
               "fealty");
  app.set_version_flag("--version", "fealty " + std::string(kVersion));
  app.require_subcommand(1);
  define_logging(app, arguments);
  app.fallthrough();
  CLI::App* const subscribing = app.add_subcommand(
      "subscribe",
      "Announce an HTTP application for as long as it runs:\n"
      "fealty subscribe --server ADDR --key DOMAIN --addr ADDR [-- COMMAND...]");
  define_subscribe(*subscribing, subscribe);
  CLI::App* const routing =
      app.add_subcommand("router", "Ask a router, or drain a node");
  define_router(*routing, router);
  CLI::App* const legions =
      app.add_subcommand("legion", "Ask a Legion's member");
  define_legion(*legions, legion);
  CLI::App* const apis = app.add_subcommand("api", "Take keys from the REST API");
  define_api(*apis, api);
  const ClientCommandLine client(app);
  CLI::App* const completing = app.add_subcommand(
      "completion", "The script that completes these words in a shell");
  define_completion(*completing, completion, line);
  app.footer("fealty subscribe --help and fealty router --help have examples.");
  try {
    app.parse(static_cast<int>(dashes - argv), argv);
    if (dashes != end && *subscribing) {
      subscribe.command.assign(dashes + 1, end);
      if (subscribe.command.empty()) {
        throw CLI::ValidationError("--", "COMMAND is missing behind it");
      }
    } else if (dashes != end) {
      throw CLI::ValidationError("--", "only subscribe takes a COMMAND");
    }
    if (subscribe.once && !subscribe.command.empty()) {
      throw CLI::ValidationError("--once", "there is nothing to be once about "
                                           "a COMMAND that runs");
    }
  } catch (const CLI::ParseError& error) {
    const auto words = app.remaining(true);
    if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
        !words.empty() && !words.front().starts_with('-')) {
      std::fprintf(stderr, "%s: there is no such command\n",
                   visible(words.front()).c_str());
    }
    const int code = app.exit(error) == 0 ? kExitFine : kExitUsage;
    const std::string meant = code == kExitFine ? "" : meant_command(app);
    if (!meant.empty()) {
      std::fprintf(stderr, "Did you mean %s?\n", meant.c_str());
    }
    return EarlyEnd{code};
  }
  if (auto call = client.typed()) {
    arguments.what = *std::move(call);
  } else if (*completing) {
    if (completion.shell.empty()) {
      completion.suggestions = suggest(app, client, line);
    }
    arguments.what = std::move(completion);
  } else if (*subscribing) {
    arguments.what = std::move(subscribe);
  } else if (*legions) {
    arguments.what = std::move(legion);
  } else if (*apis) {
    arguments.what = std::move(api);
  } else {
    arguments.what = std::move(router);
  }
  return arguments;
}

}  // namespace fealty::cli
