#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

Answer list(Call& call, Transaction& transaction) {
  const bool is_known = call.caller.kind == Caller::Kind::kCustomer;
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "content, date",
           std::string("FROM news") + (is_known ? "" : " WHERE public = 1") +
               " ORDER BY date DESC, id DESC LIMIT 10")) {
    out.push_back({{"content", row.text("content")},
                   {"date", row.integer("date")}});
  }
  return ok(std::move(out));
}

}  // namespace

void add_news(Routes& routes) {
  routes.push_back({"GET", "/news", Access::kAnyone, Mode::kRead, list,
                    "The last ten; the public ones without a login"});
}

}  // namespace fealty::api
