#include <algorithm>
#include <array>

#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

// A path below the home that the Emperor does not manage.
bool is_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.back() == '/') return false;
  std::string_view rest = path;
  bool first = true;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, end);
    const bool is_last = end == rest.size();
    if (part.empty() || part == "." || part.find("..") != part.npos ||
        (part.ends_with('.') && !is_last)) {
      return false;
    }
    constexpr std::array<std::string_view, 5> kManaged = {"etc", "logs", "run",
                                                          "tmp", "vassals"};
    if (first && std::find(kManaged.begin(), kManaged.end(), part) !=
                     kManaged.end()) {
      return false;
    }
    first = false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return true;
}

// Of what the kernel keeps of a loop device's file, and of a name on disk.
bool is_filename(std::string_view path) {
  return path.size() <= 64 && is_path(path);
}
bool is_mountpoint(std::string_view path) {
  return path.size() <= 255 && is_path(path);
}

constexpr std::string_view kPattern =
    "^(?!(etc|logs|run|tmp|vassals)(/|$))(?!/)(?!.*(\\.\\.|\\./|//))(?!(.*/)?[.]$)(?!.*/$).+$";

const Schema kCreate = {
    "NewLoopbox",
    {{"container", Type::kInteger, "the container's uid", true, 1, kIntegerMax},
     {"filename", Type::kLine,
      "a path below the home, without .., ./ or //, outside of etc, logs, run, "
      "tmp and vassals, 64 bytes at most",
      true, 1, 64, is_filename, kPattern},
     {"mountpoint", Type::kLine,
      "a folder, by the rules of filename, 255 bytes at most", true, 1, 255,
      is_mountpoint, kPattern},
     {"ro", Type::kFlag, "read-only"}}};
const Schema kChange = {
    "Loopbox", {{"tags", Type::kLines, "names of tags", false, 0, 64}}};

constexpr std::string_view kColumns =
    "l.id, l.container_id, l.filename, l.mountpoint, l.ro";
constexpr std::string_view kTables =
    "FROM loopboxes l JOIN containers c ON c.id = l.container_id";

Json object_of(const Row& row, Json tags) {
  return {{"id", row.integer("id")},
          {"container", uid_of(row.integer("container_id"))},
          {"filename", row.text("filename")},
          {"mountpoint", row.text("mountpoint")},
          {"ro", row.boolean("ro")},
          {"tags", std::move(tags)}};
}

std::optional<Json> own(const Call& call, Transaction& transaction,
                        std::int64_t id) {
  const auto row = transaction.one(
      kColumns, std::string(kTables) + " WHERE l.id = ? AND c.customer_id = ?",
      {id, call.caller.id});
  if (!row) return std::nullopt;
  return object_of(*row, tags_of(transaction, "loopbox_tags", id));
}

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("c.customer_id = ?", {call.caller.id});
  bool valid = true;
  if (const auto uid = asked_number(call, "container", valid)) {
    if (!own_container(call, transaction, *uid)) return forbidden();
    filter.add("c.id = ?", {id_of(*uid)});
  }
  if (!valid) return bad_request("container: a uid is expected");
  filter.add_tags(call, "loopbox_tags", "l.id");
  if (auto refused = filter.add_page(call, "l.id")) return *std::move(refused);
  auto tags = tags_by_object(call, transaction, "loopbox_tags");
  Json out = Json::array();
  for (const Row& row :
       transaction.select(kColumns, std::string(kTables) + filter.text(),
                          filter.values())) {
    const auto found = tags.find(row.integer("id"));
    out.push_back(object_of(
        row, found == tags.end() ? Json::array() : std::move(found->second)));
  }
  return ok(std::move(out));
}

Answer create(Call& call, Transaction& transaction) {
  const auto container =
      own_container(call, transaction, integer_of(call.body, "container"));
  if (!container) return forbidden();
  const std::int64_t container_id = container->integer("id");
  for (const char* key : {"filename", "mountpoint"}) {
    if (transaction.exists("FROM loopboxes WHERE container_id = ? AND " +
                               std::string(key) + " = ?",
                           {container_id, text_of(call.body, key)})) {
      return conflict(std::string(key) +
                      ": another loopbox of this container has it");
    }
  }
  const std::int64_t id = transaction.insert(
      "loopboxes", {{"container_id", container_id},
                    {"filename", text_of(call.body, "filename")},
                    {"mountpoint", text_of(call.body, "mountpoint")},
                    {"ro", std::int64_t{flag_of(call.body, "ro") ? 1 : 0}}});
  Json object = *own(call, transaction, id);
  audit(call, transaction, "loopbox", id, nullptr, object);
  object["message"] = "Created";
  return created(std::move(object));
}

Answer show(Call& call, Transaction& transaction) {
  auto object = own(call, transaction, call.number());
  return object ? ok(*std::move(object)) : forbidden();
}

Answer change(Call& call, Transaction& transaction) {
  const std::int64_t id = call.number();
  const auto before = own(call, transaction, id);
  if (!before) return forbidden();
  if (call.body.contains("tags")) {
    if (auto refused = set_tags(call, transaction, "loopbox_tags", id,
                                call.body["tags"])) {
      return *std::move(refused);
    }
  }
  Json object = *own(call, transaction, id);
  audit(call, transaction, "loopbox", id, *before, object);
  return ok(std::move(object));
}

Answer remove(Call& call, Transaction& transaction) {
  const std::int64_t id = call.number();
  const auto before = own(call, transaction, id);
  if (!before) return forbidden();
  transaction.remove("loopboxes", id);
  audit(call, transaction, "loopbox", id, *before, nullptr);
  return ok_message();
}

}  // namespace

void add_loopboxes(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/loopboxes", Access::kCustomer, Mode::kRead, list,
       "The customer's loopboxes"},
      "container,tags,after,limit"));
  routes.push_back({"POST", "/loopboxes", Access::kCustomer, Mode::kWrite,
                    create, "Mounts an image file", &kCreate});
  routes.push_back({"GET", "/loopboxes/{id}", Access::kCustomer, Mode::kRead,
                    show, "One of them"});
  routes.push_back({"POST", "/loopboxes/{id}", Access::kCustomer, Mode::kWrite,
                    change, "Changes its tags, and nothing else", &kChange});
  routes.push_back({"DELETE", "/loopboxes/{id}", Access::kCustomer,
                    Mode::kWrite, remove, "Unmounts it; the file stays"});
}

}  // namespace fealty::api
