#include "api/migrations.h"

#include <array>

namespace fealty::api {
namespace {

// One step of the schema. What the databases write differently is named:
// $ID is a number that is never given twice, $COMPACT ends a table whose rows
// lie in the order of their key; $LATER refers to a table that comes later, which
// PostgreSQL is told afterwards, by a statement of its own ($POSTGRESQL).
using Step = std::vector<std::string_view>;
constexpr std::string_view kPostgresqlOnly = "$POSTGRESQL ";

const Step& first_step() {
  static const Step step = {
      R"(CREATE TABLE customers (id $ID,
          uuid TEXT NOT NULL UNIQUE, username TEXT NOT NULL UNIQUE,
          password TEXT NOT NULL, email TEXT NOT NULL, company TEXT NOT NULL,
          vat TEXT NOT NULL, rsa_private TEXT NOT NULL, rsa_public TEXT NOT NULL))",
      R"(CREATE TABLE datacenters (id $ID, name TEXT NOT NULL UNIQUE,
          description TEXT NOT NULL, note TEXT NOT NULL))",
      R"(CREATE TABLE servers (id $ID, name TEXT NOT NULL UNIQUE,
          address TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL UNIQUE,
          subject TEXT NOT NULL, hd TEXT NOT NULL, memory BIGINT NOT NULL,
          storage BIGINT NOT NULL, weight BIGINT NOT NULL, ssd BIGINT NOT NULL,
          owner_id BIGINT REFERENCES customers(id),
          datacenter_id BIGINT REFERENCES datacenters(id),
          etc_resolv_conf TEXT NOT NULL, etc_hosts TEXT NOT NULL,
          note TEXT NOT NULL, mtime BIGINT NOT NULL))",
      "CREATE INDEX servers_owner ON servers(owner_id)",
      R"(CREATE TABLE legions (id $ID, name TEXT NOT NULL UNIQUE,
          address TEXT NOT NULL, uuid TEXT NOT NULL UNIQUE, secret TEXT NOT NULL,
          customer_id BIGINT REFERENCES customers(id),
          quorum BIGINT NOT NULL, note TEXT NOT NULL))",
      R"(CREATE TABLE legion_nodes (
          legion_id BIGINT NOT NULL REFERENCES legions(id) ON DELETE CASCADE,
          server_id BIGINT NOT NULL REFERENCES servers(id) ON DELETE CASCADE,
          weight BIGINT NOT NULL, PRIMARY KEY (legion_id, server_id)))",
      "CREATE INDEX legion_nodes_server ON legion_nodes(server_id)",
      R"(CREATE TABLE floating_addresses (id $ID, address TEXT NOT NULL UNIQUE,
          customer_id BIGINT REFERENCES customers(id),
          legion_id BIGINT REFERENCES legions(id),
          mapped_to_server_id BIGINT REFERENCES servers(id), note TEXT NOT NULL))",
      R"(CREATE TABLE distros (id $ID, name TEXT NOT NULL UNIQUE,
          path TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL UNIQUE,
          note TEXT NOT NULL))",
      R"(CREATE TABLE containers (id $ID, name TEXT NOT NULL,
          customer_id BIGINT NOT NULL REFERENCES customers(id),
          server_id BIGINT NOT NULL REFERENCES servers(id),
          memory BIGINT NOT NULL CHECK (memory > 0),
          storage BIGINT NOT NULL CHECK (storage > 0),
          uuid TEXT NOT NULL UNIQUE, secret_uuid TEXT NOT NULL UNIQUE,
          alarm_key TEXT NOT NULL UNIQUE,
          distro_id BIGINT REFERENCES distros(id), custom_distro_id BIGINT $LATER,
          custom_distros_storage BIGINT NOT NULL, nofollow BIGINT NOT NULL,
          note TEXT NOT NULL, quota_threshold BIGINT NOT NULL,
          alarm_freq BIGINT NOT NULL, jid TEXT NOT NULL,
          jid_secret TEXT NOT NULL, jid_destinations TEXT NOT NULL,
          pushover_user TEXT NOT NULL, pushover_token TEXT NOT NULL,
          pushover_sound TEXT NOT NULL, pushbullet_token TEXT NOT NULL,
          slack_webhook TEXT NOT NULL, ssh_keys TEXT NOT NULL,
          ssh_keys_mtime BIGINT NOT NULL, mtime BIGINT NOT NULL))",
      "CREATE INDEX containers_customer ON containers(customer_id, id)",
      "CREATE INDEX containers_server ON containers(server_id)",
      "CREATE INDEX containers_custom ON containers(custom_distro_id)",
      R"(CREATE TABLE container_links (
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          linked_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          PRIMARY KEY (container_id, linked_id)))",
      "CREATE INDEX container_links_linked ON container_links(linked_id)",
      R"(CREATE TABLE custom_distros (id $ID,
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          name TEXT NOT NULL, path TEXT NOT NULL, note TEXT NOT NULL,
          uuid TEXT NOT NULL UNIQUE, UNIQUE (container_id, name),
          UNIQUE (container_id, path)))",
      R"($POSTGRESQL ALTER TABLE containers ADD FOREIGN KEY (custom_distro_id)
          REFERENCES custom_distros(id) ON DELETE SET NULL)",
      R"(CREATE TABLE domains (id $ID, name TEXT NOT NULL UNIQUE,
          customer_id BIGINT NOT NULL REFERENCES customers(id),
          uuid TEXT NOT NULL UNIQUE, note TEXT NOT NULL, mtime BIGINT NOT NULL))",
      "CREATE INDEX domains_customer ON domains(customer_id, id)",
      R"(CREATE TABLE tags (id $ID,
          customer_id BIGINT NOT NULL REFERENCES customers(id),
          name TEXT NOT NULL, note TEXT NOT NULL, UNIQUE (customer_id, name)))",
      R"(CREATE TABLE loopboxes (id $ID,
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          filename TEXT NOT NULL, mountpoint TEXT NOT NULL, ro BIGINT NOT NULL,
          UNIQUE (container_id, filename), UNIQUE (container_id, mountpoint)))",
      R"(CREATE TABLE container_tags (
          object_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          tag_id BIGINT NOT NULL REFERENCES tags(id) ON DELETE CASCADE,
          PRIMARY KEY (object_id, tag_id)))",
      R"(CREATE TABLE domain_tags (
          object_id BIGINT NOT NULL REFERENCES domains(id) ON DELETE CASCADE,
          tag_id BIGINT NOT NULL REFERENCES tags(id) ON DELETE CASCADE,
          PRIMARY KEY (object_id, tag_id)))",
      R"(CREATE TABLE loopbox_tags (
          object_id BIGINT NOT NULL REFERENCES loopboxes(id) ON DELETE CASCADE,
          tag_id BIGINT NOT NULL REFERENCES tags(id) ON DELETE CASCADE,
          PRIMARY KEY (object_id, tag_id)))",
      "CREATE INDEX container_tags_tag ON container_tags(tag_id)",
      "CREATE INDEX domain_tags_tag ON domain_tags(tag_id)",
      "CREATE INDEX loopbox_tags_tag ON loopbox_tags(tag_id)",
      R"(CREATE TABLE alarms (id $ID,
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          unix BIGINT NOT NULL, level BIGINT NOT NULL, color TEXT NOT NULL,
          class TEXT NOT NULL, vassal TEXT NOT NULL, line BIGINT,
          filename TEXT NOT NULL, func TEXT NOT NULL, msg TEXT NOT NULL))",
      "CREATE INDEX alarms_container ON alarms(container_id, unix, id)",
      R"(CREATE TABLE portmappings (id $ID,
          server_id BIGINT NOT NULL REFERENCES servers(id) ON DELETE CASCADE,
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          proto TEXT NOT NULL, public_port BIGINT NOT NULL,
          private_port BIGINT NOT NULL, UNIQUE (server_id, proto, public_port)))",
      "CREATE INDEX portmappings_container ON portmappings(container_id)",
      R"(CREATE TABLE container_metrics (
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          metric BIGINT NOT NULL, unix BIGINT NOT NULL, value BIGINT NOT NULL,
          PRIMARY KEY (container_id, metric, unix)) $COMPACT)",
      R"(CREATE TABLE domain_metrics (
          domain_id BIGINT NOT NULL REFERENCES domains(id) ON DELETE CASCADE,
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          metric BIGINT NOT NULL, unix BIGINT NOT NULL, value BIGINT NOT NULL,
          PRIMARY KEY (domain_id, metric, container_id, unix)) $COMPACT)",
      R"(CREATE INDEX domain_metrics_container
          ON domain_metrics(container_id, unix))",
      R"(CREATE TABLE news (id $ID, content TEXT NOT NULL, date BIGINT NOT NULL,
          public BIGINT NOT NULL))",
      R"(CREATE TABLE rules (id $ID,
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          direction TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL,
          src TEXT NOT NULL, src_mask BIGINT NOT NULL, dst TEXT NOT NULL,
          dst_mask BIGINT NOT NULL))",
      R"(CREATE TABLE custom_services (id $ID, name TEXT NOT NULL UNIQUE,
          customer_id BIGINT NOT NULL REFERENCES customers(id),
          server_id BIGINT NOT NULL REFERENCES servers(id) ON DELETE CASCADE,
          config TEXT NOT NULL, mtime BIGINT NOT NULL))",
      R"(CREATE TABLE privileged_clients (id $ID, name TEXT NOT NULL UNIQUE,
          address TEXT NOT NULL UNIQUE))",
      R"(CREATE TABLE server_file_metadata (id $ID,
          server_id BIGINT NOT NULL REFERENCES servers(id) ON DELETE CASCADE,
          filename TEXT NOT NULL, metadata TEXT NOT NULL, mtime BIGINT NOT NULL,
          UNIQUE (server_id, filename)))",
      R"(CREATE TABLE audit (id $ID, unix BIGINT NOT NULL, actor TEXT NOT NULL,
          address TEXT NOT NULL, request TEXT NOT NULL, object TEXT NOT NULL,
          object_id BIGINT NOT NULL, before TEXT, after TEXT))",
      "CREATE INDEX audit_object ON audit(object, object_id)",
      R"(CREATE TABLE answered (
          customer_id BIGINT NOT NULL REFERENCES customers(id) ON DELETE CASCADE,
          token TEXT NOT NULL, request TEXT NOT NULL, status BIGINT NOT NULL,
          body TEXT NOT NULL, unix BIGINT NOT NULL,
          PRIMARY KEY (customer_id, token)))",
      "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
  };
  return step;
}

// A link is a container's word on another's number, whether there is one or not:
// who links must not learn that. What was answered in clear goes.
const Step& second_step() {
  static const Step step = {
      R"(CREATE TABLE links (
          container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
          linked_id BIGINT NOT NULL, PRIMARY KEY (container_id, linked_id)))",
      "INSERT INTO links SELECT container_id, linked_id FROM container_links",
      "DROP TABLE container_links",
      "ALTER TABLE links RENAME TO container_links",
      "CREATE INDEX container_links_linked ON container_links(linked_id)",
      R"(CREATE INDEX domain_metrics_day
          ON domain_metrics(domain_id, unix, container_id))",
      "CREATE INDEX audit_unix ON audit(unix)",
      "DELETE FROM answered",
      "CREATE INDEX answered_unix ON answered(unix)",
  };
  return step;
}

// Each row is for one of the two, who may be gone by then.
const Step& third_step() {
  static const Step step = {
      R"(CREATE TABLE events (id $ID, unix BIGINT NOT NULL,
          customer_id BIGINT, server_id BIGINT, object TEXT NOT NULL, object_id BIGINT NOT NULL,
          change TEXT NOT NULL))",
      "CREATE INDEX events_customer ON events(customer_id, id)",
      "CREATE INDEX events_server ON events(server_id, id)",
      "CREATE INDEX events_unix ON events(unix)",
  };
  return step;
}

// A customer's alarms lie in the order in which they are listed; they go where
// their container gets another customer.
const Step& fourth_step() {
  static const Step step = {
      "ALTER TABLE alarms ADD COLUMN customer_id BIGINT NOT NULL DEFAULT 0",
      R"(UPDATE alarms SET customer_id = (SELECT c.customer_id FROM containers c
          WHERE c.id = alarms.container_id))",
      "CREATE INDEX alarms_customer ON alarms(customer_id, unix, id)",
  };
  return step;
}

// Whoever may send an Idempotency-Key, not customers alone; they are called by
// what never changes (idempotency.cc). What the administrator changed is called as
// what a customer did.
const Step& fifth_step() {
  static const Step step = {
      R"(CREATE TABLE answers (caller TEXT NOT NULL, token TEXT NOT NULL,
          request TEXT NOT NULL, status BIGINT NOT NULL, body TEXT NOT NULL,
          unix BIGINT NOT NULL, PRIMARY KEY (caller, token)))",
      R"(INSERT INTO answers SELECT c.uuid, a.token, a.request, a.status, a.body,
          a.unix FROM answered a JOIN customers c ON c.id = a.customer_id)",
      "DROP TABLE answered",
      "ALTER TABLE answers RENAME TO answered",
      "CREATE INDEX answered_unix ON answered(unix)",
      R"(UPDATE audit SET object = CASE object
          WHEN 'floating_addresses' THEN 'floating_address'
          ELSE substr(object, 1, length(object) - 1) END
          WHERE object IN ('customers', 'servers', 'datacenters', 'distros',
          'containers', 'domains', 'legions', 'floating_addresses', 'rules',
          'custom_services', 'privileged_clients'))",
  };
  return step;
}

// Steps are only ever added. What they cannot do, since it takes the key, is done
// after them (reseal.h).
constexpr std::array<const Step& (*)(), 5> kSteps = {
    first_step, second_step, third_step, fourth_step, fifth_step};

void replace(std::string& text, std::string_view name, std::string_view by) {
  const std::size_t at = text.find(name);
  if (at != std::string::npos) text.replace(at, name.size(), by);
}

std::string in_dialect(std::string_view statement, Dialect dialect) {
  const bool sqlite = dialect == Dialect::kSqlite;
  std::string text(statement);
  replace(text, "$ID",
          sqlite ? "INTEGER PRIMARY KEY AUTOINCREMENT"
                 : "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
  replace(text, "$COMPACT", sqlite ? "WITHOUT ROWID" : "");
  replace(text, "$LATER",
          sqlite ? "REFERENCES custom_distros(id) ON DELETE SET NULL" : "");
  return text;
}

std::int64_t version_of(Transaction& transaction) {
  transaction.run(
      "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)");
  const auto row = transaction.one("version", "FROM schema_version");
  return row ? row->integer("version") : 0;
}

// The step after the version that is there; its number, 0 if there is none.
std::int64_t take_step(Transaction& transaction) {
  const std::int64_t version = version_of(transaction);
  const auto count = static_cast<std::int64_t>(kSteps.size());
  if (version > count) return -1;
  if (version == count) return 0;
  for (const std::string_view statement :
       kSteps.at(static_cast<std::size_t>(version))()) {
    const bool for_one = statement.starts_with(kPostgresqlOnly);
    if (for_one && transaction.dialect() == Dialect::kSqlite) continue;
    transaction.run(in_dialect(
        statement.substr(for_one ? kPostgresqlOnly.size() : 0),
        transaction.dialect()));
  }
  transaction.run(version == 0 ? "INSERT INTO schema_version VALUES (?)"
                               : "UPDATE schema_version SET version = ?",
                  {version + 1});
  return version + 1;
}

}  // namespace

bool is_of_a_later_version(Transaction& transaction) {
  return transaction.exists("FROM schema_version WHERE version > ?",
                            {static_cast<std::int64_t>(kSteps.size())});
}

Status migrate(Database& database) {
  for (std::int64_t step = 1; step > 0;) {
    const Answer answer = database.upgrade([&step](Transaction& transaction) {
      step = take_step(transaction);
      return ok_message();
    });
    if (answer.refuses()) {
      return Error{"the database's schema cannot be made; see the log"};
    }
  }
  const Answer known = database.read([](Transaction& transaction) {
    return is_of_a_later_version(transaction) ? conflict("") : ok_message();
  });
  if (known.refuses()) {
    return Error{"the database is of a later version of fealty-api"};
  }
  return Ok{};
}

}  // namespace fealty::api
