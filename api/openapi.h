#pragma once

#include "api/route.h"

namespace fealty::api {

// What the routes say of themselves, without those of the administration: an
// OpenAPI 3.1 document, and a page to read.
[[nodiscard]] Answer openapi_document(const Routes& routes);
[[nodiscard]] Answer documentation_page(const Routes& routes);

}  // namespace fealty::api
