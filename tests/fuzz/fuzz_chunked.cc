// Arbitrary bytes as a chunked body, cut into pieces whose sizes the input's
// first bytes choose: the decoder says the same as when it gets all at once,
// and as a model that reads the grammar top to bottom.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/chunked.h"
#include "tests/unit/http/chunked_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using fealty::test::ChunkedModel;
  using fealty::test::Fed;
  using fealty::test::feed_chunked;
  constexpr std::size_t kChoiceBytes = 4;
  if (size < kChoiceBytes) return 0;
  const std::string_view body(
      reinterpret_cast<const char*>(data) + kChoiceBytes, size - kChoiceBytes);

  std::size_t turn = 0;
  const Fed pieces = feed_chunked(body, [&] {
    return std::size_t{data[turn++ % kChoiceBytes]};
  });
  const Fed whole = feed_chunked(body, [&] { return body.size(); });
  FEALTY_CHECK(pieces.step == whole.step);
  FEALTY_CHECK(pieces.consumed == whole.consumed);
  FEALTY_CHECK(pieces.data == whole.data);
  FEALTY_CHECK(whole.consumed <= body.size());

  const ChunkedModel model(body);
  FEALTY_CHECK(whole.step == model.step);
  FEALTY_CHECK(whole.consumed == model.consumed);
  FEALTY_CHECK(whole.data == model.data);
  return 0;
}
