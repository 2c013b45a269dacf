#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  if (auto refused = filter.add_page(call, "id")) return *std::move(refused);
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "id, name", "FROM distros" + filter.text(), filter.values())) {
    out.push_back({{"id", row.integer("id")}, {"name", row.text("name")}});
  }
  return ok(std::move(out));
}

}  // namespace

void add_distros(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/distros", Access::kCustomer, Mode::kRead, list,
       "What containers can run"},
      "after,limit"));
}

}  // namespace fealty::api
