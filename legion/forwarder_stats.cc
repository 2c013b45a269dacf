#include "legion/forwarder_stats.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/log.h"

namespace fealty::legion {
namespace {

using Json = nlohmann::ordered_json;

Json text_of(const std::optional<Address>& address) {
  return address ? Json(log::printable(address->to_string())) : Json(nullptr);
}

template <typename Visit>
void for_each_drop(const Forwarder::Counters& counters, const Visit& visit) {
  for (std::size_t i = 0; i < counters.drops.size(); ++i) {
    visit(std::string(to_string(static_cast<ForwardDrop>(i))),
          counters.drops[i]);
  }
}

}  // namespace

Json forwarder_json(const Forwarder& forwarder) {
  const ForwarderOptions& options = forwarder.options();
  const Forwarder::Counters& counters = forwarder.counters();
  Json to = Json::array();
  for (const Address& each : options.to) to.push_back(each.to_string());
  Json drops = Json::object();
  for_each_drop(counters, [&](const std::string& reason, std::uint64_t count) {
    drops[reason] = count;
  });
  return {{"wire", "sealed"},
          {"listen", text_of(options.listen)},
          {"send_from", text_of(options.send_from)},
          {"to", std::move(to)},
          {"receive", text_of(options.receive)},
          {"deliver", text_of(options.deliver)},
          {"senders", forwarder.senders()},
          {"counters",
           {{"taken", counters.taken},
            {"sent", counters.sent},
            {"send_errors", counters.send_errors},
            {"received", counters.received},
            {"delivered", counters.delivered},
            {"undelivered", counters.undelivered}}},
          {"dropped", std::move(drops)}};
}

std::string forwarder_metrics(const Forwarder& forwarder) {
  const Forwarder::Counters& counters = forwarder.counters();
  std::string text;
  const auto head = [&](std::string_view name, std::string_view type,
                        std::string_view help) {
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  };
  const auto add = [&](std::string_view name, std::string_view help,
                       std::uint64_t value) {
    head(name, "counter", help);
    text += fmt::format("{} {}\n", name, value);
  };
  add("fealty_forwarder_packets_taken_total",
      "Subscriptions from the local router", counters.taken);
  add("fealty_forwarder_datagrams_sent_total", "Datagrams to other members",
      counters.sent);
  add("fealty_forwarder_send_errors_total",
      "Datagrams that the kernel did not take", counters.send_errors);
  add("fealty_forwarder_datagrams_received_total",
      "Datagrams that came to `receive`", counters.received);
  add("fealty_forwarder_packets_delivered_total",
      "Subscriptions that were handed to the local router", counters.delivered);
  add("fealty_forwarder_undelivered_total",
      "Subscriptions that its socket did not take", counters.undelivered);
  constexpr std::string_view kSenders = "fealty_forwarder_senders";
  head(kSenders, "gauge", "Runs of other members' forwarders heard of late");
  text += fmt::format("{} {}\n", kSenders, forwarder.senders());
  constexpr std::string_view kDropped = "fealty_forwarder_dropped_total";
  head(kDropped, "counter", "Datagrams that were dropped, by reason");
  for_each_drop(counters, [&](const std::string& reason, std::uint64_t count) {
    text += fmt::format("{}{{reason=\"{}\"}} {}\n", kDropped, reason, count);
  });
  return text;
}

}  // namespace fealty::legion
