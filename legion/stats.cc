#include "legion/stats.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/version.h"
#include "legion/forwarder_stats.h"

namespace fealty::legion {
namespace {

using Json = nlohmann::ordered_json;

// What members say of themselves may be any bytes.
std::string text_of(std::string_view bytes) { return log::printable(bytes); }

Json counted_drops(const Member& member) {
  Json out = Json::object();
  for (std::size_t i = 0; i < Member::kDrops; ++i) {
    const auto drop = static_cast<Member::Drop>(i);
    out[std::string(to_string(drop))] = member.drops(drop);
  }
  return out;
}

Json member_json(const MemberView& each, const Election& election,
                 std::int64_t now_ms, std::int64_t wall_s) {
  const Uuid* const lord = election.lord();
  return {{"name", text_of(each.last.name)},
          {"uuid", each.last.uuid.text()},
          {"pid", each.last.pid},
          {"valor", each.last.valor},
          {"address", each.from},
          {"arbiter", each.last.valor == 0},
          {"counted", each.counted},
          {"is_lord", lord != nullptr && *lord == each.last.uuid},
          {"lord_since", each.last.lord_since_s},
          {"checksum", each.last.checksum},
          {"agrees", each.last.checksum == election.checksum()},
          {"vote_valor", each.last.vote.valor},
          {"vote_uuid", each.last.vote.uuid.text()},
          {"scroll", text_of(each.last.scroll)},
          {"heard_ms_ago", now_ms - each.heard_ms},
          {"known_ms", now_ms - each.first_ms},
          {"skew", each.last.unix_s - wall_s}};
}

Json lord_json(const Member& member) {
  const Election& election = member.election();
  const Uuid* const lord = election.lord();
  if (lord == nullptr) return nullptr;
  if (*lord == election.uuid()) {
    return {{"uuid", lord->text()},
            {"name", "this member"},
            {"valor", election.options().valor},
            {"since", election.lord_since_s()},
            {"scroll", text_of(election.options().scroll)}};
  }
  for (const MemberView& each : election.members()) {
    if (each.last.uuid != *lord) continue;
    return {{"uuid", lord->text()},
            {"name", text_of(each.last.name)},
            {"valor", each.last.valor},
            {"since", each.last.lord_since_s},
            {"scroll", text_of(each.last.scroll)}};
  }
  return nullptr;
}

Json legion_json(const Member& member, const Clock& clock) {
  const Election& election = member.election();
  const std::int64_t now_ms = clock.monotonic_ms();
  const LegionOptions& options = member.options();
  Json out = {
      {"legion", options.name},
      {"addr", member.transport().bound().to_string()},
      {"uuid", election.uuid().text()},
      {"valor", election.options().valor},
      {"checksum", election.checksum()},
      {"quorum", election.options().quorum},
      {"i_am_the_lord", election.lord_since_s()},
      {"lord_valor", election.vote().valor},
      {"lord_uuid", election.vote().uuid.text()},
      {"wire", options.wire == Wire::kSealed ? "sealed" : "uwsgi"},
      {"accept_weaker", options.accept_weaker},
      {"role", to_string(election.role())},
      {"lord", lord_json(member)},
      {"votes", election.votes()},
      {"has_quorum", election.has_quorum()},
      {"why_no_quorum", election.why_no_quorum(now_ms)},
      {"suspended", election.suspended(now_ms)},
      {"scroll", text_of(election.options().scroll)},
      {"freq_ms", election.options().freq_ms},
      {"tolerance_ms", election.options().tolerance_ms},
      {"skew_tolerance", election.options().skew_tolerance_s}};
  const std::int64_t lease_ms = election.lease_until_ms();
  out["lease_ms_left"] =
      election.role() == Role::kLord && lease_ms != INT64_MAX
          ? Json(lease_ms - now_ms)
          : Json(nullptr);
  Json held = Json::array();
  for (const FloatingAddress& each : member.held()) {
    held.push_back(each.to_string());
  }
  out["addresses"] = std::move(held);
  Json members = Json::array();
  for (const MemberView& each : election.members()) {
    members.push_back(member_json(each, election, now_ms, clock.unix_s()));
  }
  out["members"] = std::move(members);
  const Member::Counters& counters = member.counters();
  const Transport::Counters& moved = member.transport().counters();
  out["counters"] = {{"received", moved.received},
                     {"taken", counters.taken},
                     {"sent", moved.sent},
                     {"send_errors", moved.send_errors},
                     {"lords", counters.lords},
                     {"unlords", counters.unlords},
                     {"hook_failures", counters.hook_failures},
                     {"hooks_dropped", member.hooks().dropped()},
                     {"stalls", counters.stalls}};
  out["dropped"] = counted_drops(member);
  return out;
}

// One metric with a line a Legion.
class Metrics {
 public:
  explicit Metrics(const StatsSource& source) : source_(source) {}

  template <typename Value>
  void add(std::string_view name, std::string_view type, std::string_view help,
           Value value) {
    head(name, type, help);
    for (const auto& member : source_.members) {
      line(name, *member, "", static_cast<std::int64_t>(value(*member)));
    }
  }
  void head(std::string_view name, std::string_view type,
            std::string_view help) {
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void line(std::string_view name, const Member& member, std::string_view more,
            std::int64_t value) {
    text_ += fmt::format("{}{{legion=\"{}\"{}}} {}\n", name,
                         log::printable(member.options().name), more, value);
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  const StatsSource& source_;
  std::string text_;
};

}  // namespace

std::string stats_json(const StatsSource& source) {
  Json legions = Json::array();
  for (const auto& member : source.members) {
    legions.push_back(legion_json(*member, source.clock));
  }
  const Json out = {{"version", kVersion},
                    {"pid", ::getpid()},
                    {"uid", ::getuid()},
                    {"gid", ::getgid()},
                    {"legions", std::move(legions)},
                    {"forwarder", source.forwarder == nullptr
                                      ? Json(nullptr)
                                      : forwarder_json(*source.forwarder)}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string metrics_text(const StatsSource& source) {
  Metrics metrics(source);
  using M = const Member&;
  metrics.add("fealty_legion_is_lord", "gauge", "Whether this member is the Lord",
              [](M m) { return m.election().role() == Role::kLord; });
  metrics.add("fealty_legion_has_quorum", "gauge", "Whether a quorum agrees",
              [](M m) { return m.election().has_quorum(); });
  metrics.add("fealty_legion_votes", "gauge",
              "Votes for whom this member votes for",
              [](M m) { return m.election().votes(); });
  metrics.add("fealty_legion_quorum", "gauge", "Votes that are needed",
              [](M m) { return m.election().options().quorum; });
  metrics.add("fealty_legion_valor", "gauge", "This member's valor",
              [](M m) { return m.election().options().valor; });
  metrics.add("fealty_legion_members", "gauge", "Members that are heard, and this one",
              [](M m) {
                std::int64_t count = 1;
                for (const auto& each : m.election().members()) {
                  count += each.counted ? 1 : 0;
                }
                return count;
              });
  metrics.add("fealty_legion_addresses", "gauge", "Addresses that are held",
              [](M m) { return m.held().size(); });
  metrics.add("fealty_legion_lords_total", "counter", "Times it became Lord",
              [](M m) { return m.counters().lords; });
  metrics.add("fealty_legion_unlords_total", "counter", "Times it was Lord no more",
              [](M m) { return m.counters().unlords; });
  metrics.add("fealty_legion_hook_failures_total", "counter", "Hooks that failed",
              [](M m) { return m.counters().hook_failures; });
  metrics.add("fealty_legion_stalls_total", "counter",
              "Times the process stood still",
              [](M m) { return m.counters().stalls; });
  metrics.add("fealty_legion_packets_received_total", "counter",
              "Datagrams that came in",
              [](M m) { return m.transport().counters().received; });
  metrics.add("fealty_legion_packets_taken_total", "counter",
              "Announcements that counted",
              [](M m) { return m.counters().taken; });
  metrics.add("fealty_legion_packets_sent_total", "counter",
              "Datagrams that went out",
              [](M m) { return m.transport().counters().sent; });
  metrics.add("fealty_legion_send_errors_total", "counter",
              "Datagrams that the kernel did not take",
              [](M m) { return m.transport().counters().send_errors; });
  metrics.head("fealty_legion_packets_dropped_total", "counter",
               "Datagrams that were dropped, by reason");
  for (const auto& member : source.members) {
    for (std::size_t i = 0; i < Member::kDrops; ++i) {
      const auto drop = static_cast<Member::Drop>(i);
      metrics.line("fealty_legion_packets_dropped_total", *member,
                   fmt::format(",reason=\"{}\"", to_string(drop)),
                   static_cast<std::int64_t>(member->drops(drop)));
    }
  }
  std::string text = metrics.take();
  if (source.forwarder_wanted) {
    text += fmt::format(
        "# HELP fealty_forwarder_up Whether the forwarder has its sockets\n"
        "# TYPE fealty_forwarder_up gauge\nfealty_forwarder_up {}\n",
        source.forwarder == nullptr ? 0 : 1);
  }
  if (source.forwarder != nullptr) text += forwarder_metrics(*source.forwarder);
  return text;
}

}  // namespace fealty::legion
