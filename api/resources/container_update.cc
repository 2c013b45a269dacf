#include <algorithm>

#include "api/domain_check.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::int64_t kLinksMax = 256;

// Where alarms go: a name of the internet over TLS, no address, user or port.
bool is_webhook(std::string_view url) {
  if (url.empty()) return true;
  if (!url.starts_with(kHttps)) return false;
  url.remove_prefix(kHttps.size());
  const std::string_view host = url.substr(0, url.find('/'));
  return is_domain(host) && host.front() != '.' &&
         url.find_first_of(" \"'\\<>#") == url.npos;
}

// The changes of one request to one container.
class Update {
 public:
  Update(Call& call, Transaction& transaction, Row row)
      : call_(call),
        body_(call.body),
        transaction_(transaction),
        row_(std::move(row)),
        id_(row_.integer("id")) {}

  Answer run() {
    const Json before = container_object(transaction_, id_);
    for (const auto step :
         {&Update::take_plain, &Update::take_secrets, &Update::take_keys,
          &Update::take_size, &Update::take_distro, &Update::take_custom_distro,
          &Update::take_tags, &Update::take_link, &Update::take_unlink}) {
      if (auto refused = (this->*step)()) return *std::move(refused);
    }
    transaction_.update("containers", id_, fields_);
    if (flag_of(body_, "reboot")) reboots_ = true;
    if (reboots_) touch_container(call_, transaction_, id_);
    Json after = container_object(transaction_, id_);
    if (reboots_) after["reboot"] = true;
    audit(call_, transaction_, "container", id_, before, after);
    return ok_message();
  }

 private:
  using Refusal = std::optional<Answer>;

  // Sets a column; whether it has another value now.
  bool set(std::string_view column, const Value& value) {
    const auto* const number = std::get_if<std::int64_t>(&value);
    const auto* const text = std::get_if<std::string>(&value);
    const bool was_null = row_.is_null(column);
    const bool same = number != nullptr
                          ? !was_null && row_.integer(column) == *number
                      : text != nullptr ? !was_null && row_.text(column) == *text
                                        : was_null;
    if (!same) fields_.emplace_back(column, value);
    return !same;
  }

  Refusal take_plain() {
    for (const auto& [key, value] : stored_fields(
             body_, {"name", "quota_threshold", "jid", "jid_destinations",
                     "nofollow", "pushover_user", "pushover_sound",
                     "alarm_freq", "custom_distros_storage"})) {
      if (set(key, value)) reboots_ = true;
    }
    for (const auto& [key, value] : stored_fields(body_, {"note"})) {
      set(key, value);
    }
    return std::nullopt;
  }

  Refusal take_secrets() {
    for (const std::string_view key : {"jid_secret", "pushover_token",
                                       "pushbullet_token", "slack_webhook"}) {
      const auto found = body_.find(key);
      if (found == body_.end()) continue;
      fields_.emplace_back(
          key, sealed_for_container(call_, key, row_.text("uuid"),
                                    found->get<std::string>()));
      audit_secret(call_, transaction_, "container", id_, key);
      reboots_ = true;
    }
    return std::nullopt;
  }

  Refusal take_keys() {
    const auto found = body_.find("ssh_keys");
    if (found == body_.end() || !set("ssh_keys", found->dump())) {
      return std::nullopt;
    }
    fields_.emplace_back(
        "ssh_keys_mtime",
        std::max(call_.now(), row_.integer("ssh_keys_mtime") + 1));
    return std::nullopt;
  }

  Refusal take_size() {
    if (!body_.contains("memory") && !body_.contains("storage")) {
      return std::nullopt;
    }
    const std::int64_t server = row_.integer("server_id");
    if (!transaction_.exists("FROM servers WHERE id = ? AND owner_id = ?",
                             {server, call_.caller.id})) {
      return forbidden("memory and storage are for the server's owner to say");
    }
    const std::int64_t memory =
        integer_of(body_, "memory", row_.integer("memory"));
    const std::int64_t storage =
        integer_of(body_, "storage", row_.integer("storage"));
    const bool more_memory = set("memory", memory);
    const bool changed = set("storage", storage) || more_memory;
    if (!changed) return std::nullopt;
    reboots_ = true;
    return check_capacity(transaction_, server, memory, storage, id_);
  }

  Refusal take_distro() {
    const auto found = body_.find("distro");
    if (found == body_.end()) return std::nullopt;
    if (!found->is_null() &&
        !transaction_.exists("FROM distros WHERE id = ?", {stored(*found)})) {
      return bad_request("distro: there is none with this id");
    }
    if (set("distro_id", stored(*found))) reboots_ = true;
    return std::nullopt;
  }

  // A store serves others on its server, of its customer, and not itself.
  Refusal take_custom_distro() {
    const auto found = body_.find("custom_distro");
    if (found != body_.end()) {
      if (!found->is_null() && !is_usable(*found)) {
        return forbidden("custom_distro: it is none that this container may use");
      }
      if (set("custom_distro_id", stored(*found))) reboots_ = true;
    }
    const bool uses_one = found == body_.end()
                              ? !row_.is_null("custom_distro_id")
                              : !found->is_null();
    const bool is_store = body_.contains("custom_distros_storage")
                              ? flag_of(body_, "custom_distros_storage")
                              : row_.boolean("custom_distros_storage");
    if (is_store && uses_one) {
      return conflict("custom_distro: a storage container cannot use one");
    }
    if (!is_store && row_.boolean("custom_distros_storage") && serves_others()) {
      return conflict("custom_distros_storage: its distros are in use");
    }
    return std::nullopt;
  }
  bool is_usable(const Json& distro) {
    return transaction_.exists(
        "FROM custom_distros x JOIN containers o ON o.id = x.container_id "
        "WHERE x.id = ? AND o.id <> ? AND o.customer_id = ? AND "
        "o.server_id = ? AND o.custom_distros_storage = 1",
        {stored(distro), id_, call_.caller.id, row_.integer("server_id")});
  }
  bool serves_others() {
    return transaction_.exists(
        "FROM containers c JOIN custom_distros x ON x.id = c.custom_distro_id "
        "WHERE x.container_id = ?", {id_});
  }

  Refusal take_tags() {
    const auto found = body_.find("tags");
    if (found == body_.end()) return std::nullopt;
    return set_tags(call_, transaction_, "container_tags", id_, *found);
  }

  // A link is a container's own word on a number: it takes both to agree, and
  // whether there is such a container is not told.
  Refusal take_link() {
    if (!body_.contains("link")) return std::nullopt;
    const std::int64_t other = id_of(integer_of(body_, "link"));
    if (other == id_) return conflict("link: it is the container itself");
    if (is_linked(other)) return conflict("link: it is linked already");
    const auto links =
        transaction_.one("count(*) AS n",
                         "FROM container_links WHERE container_id = ?", {id_});
    if (links->integer("n") >= kLinksMax) {
      return conflict("link: it has " + std::to_string(kLinksMax) + " already");
    }
    transaction_.run(
        "INSERT INTO container_links (container_id, linked_id) VALUES (?, ?)",
        {id_, other});
    reboots_ = true;
    return std::nullopt;
  }
  Refusal take_unlink() {
    if (!body_.contains("unlink")) return std::nullopt;
    const std::int64_t other = id_of(integer_of(body_, "unlink"));
    if (!is_linked(other)) return conflict("unlink: it is not linked");
    transaction_.run(
        "DELETE FROM container_links WHERE container_id = ? AND linked_id = ?",
        {id_, other});
    reboots_ = true;
    return std::nullopt;
  }
  bool is_linked(std::int64_t other) {
    return transaction_.exists(
        "FROM container_links WHERE container_id = ? AND linked_id = ?",
        {id_, other});
  }

  Call& call_;
  const Json& body_;
  Transaction& transaction_;
  const Row row_;
  const std::int64_t id_;
  Fields fields_;
  bool reboots_ = false;
};

}  // namespace

const Schema& container_schema() {
  static const Schema schema = {
      "Container",
      {{"name", Type::kLine, "its name", false, 1},
       {"note", Type::kText, "free text", false, 0, 16'384},
       {"quota_threshold", Type::kInteger, "percent; an alarm above it", false, 1, 100},
       {"jid", Type::kLine, "jabber account that sends alarms"},
       {"jid_secret", Type::kLine, "its password; never shown"},
       {"jid_destinations", Type::kLine, "who gets them, by commas", false, 0, 4096},
       {"nofollow", Type::kFlag, "uWSGI's nofollow"},
       {"pushover_user", Type::kLine, "Pushover's user key"},
       {"pushover_token", Type::kLine, "Pushover's application token"},
       {"pushover_sound", Type::kLine, "Pushover's sound"},
       {"pushbullet_token", Type::kLine, "Pushbullet's access token"},
       {"slack_webhook", Type::kLine, "an https URL of a host with a name, or empty",
        false, 0, 1024, is_webhook, "^(https://([a-z0-9-]+[.])+[a-z][a-z0-9-]*(/[^ \"'\\\\<>#]*)?)?$"},
       {"alarm_freq", Type::kInteger, "seconds between two alarms", false, 60, 31'536'000},
       {"custom_distros_storage", Type::kFlag, "it stores custom distros"},
       {"ssh_keys", Type::kLines, "public keys, one a string", false, 0, 64},
       {"distro", Type::kIntegerOrNull, "the id of a distro", false, 1, kIntegerMax},
       {"custom_distro", Type::kIntegerOrNull, "the id of a usable custom distro",
        false, 1, kIntegerMax},
       {"tags", Type::kLines, "names of tags", false, 0, 64},
       {"memory", Type::kInteger, "MB; for the server's owner", false, 1, kIntegerMax},
       {"storage", Type::kInteger, "MB; for the server's owner", false, 1, kIntegerMax},
       {"link", Type::kInteger, "uid of the container to link to", false,
        kUidBase + 1, kIntegerMax},
       {"unlink", Type::kInteger, "uid of the container to unlink from", false, 1,
        kIntegerMax},
       {"reboot", Type::kFlag, "1: reboot without a change"}}};
  return schema;
}

Answer update_container(Call& call, Transaction& transaction) {
  auto row = own_container(
      call, transaction, call.number(),
      "id, uuid, name, server_id, memory, storage, distro_id, custom_distro_id, "
      "custom_distros_storage, note, quota_threshold, jid, jid_destinations, "
      "nofollow, pushover_user, pushover_sound, alarm_freq, ssh_keys, "
      "ssh_keys_mtime");
  if (!row) return forbidden();
  return Update(call, transaction, *std::move(row)).run();
}

}  // namespace fealty::api
