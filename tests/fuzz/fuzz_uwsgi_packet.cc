// The uwsgi packet codec: whatever is read lies within the data, and what was
// read and is written again gives the same bytes.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "wire/uwsgi_packet.h"

using fealty::wire::decode_uwsgi_header;
using fealty::wire::kUwsgiHeaderBytes;
using fealty::wire::kUwsgiPacketBytesMax;
using fealty::wire::UwsgiPair;
using fealty::wire::UwsgiPairReader;
using fealty::wire::UwsgiWriter;

namespace {

bool within(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() &&
         part.data() + part.size() <= whole.data() + whole.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto header = decode_uwsgi_header(packet);
  if (!header) return 0;
  const std::string_view body = packet.substr(kUwsgiHeaderBytes);

  // Exactly as much room as is needed: one byte too many is found.
  std::vector<char> buffer(std::min(packet.size(), kUwsgiPacketBytesMax));
  UwsgiWriter writer(buffer);
  UwsgiPairReader reader(body);
  UwsgiPair pair;
  std::size_t end = 0;
  UwsgiPairReader::Step step = reader.next(pair);
  for (; step == UwsgiPairReader::Step::kPair; step = reader.next(pair)) {
    FEALTY_CHECK(within(pair.key, body) && within(pair.value, body));
    FEALTY_CHECK(pair.offset == end);
    end += 4 + pair.key.size() + pair.value.size();
    writer.add(pair.key, pair.value);
  }
  FEALTY_CHECK(reader.next(pair) == step);
  const auto written = writer.finish(header->modifier1, header->modifier2);
  const bool fits = kUwsgiHeaderBytes + end <= kUwsgiPacketBytesMax;
  FEALTY_CHECK(written.empty() != fits);
  if (!fits) return 0;
  FEALTY_CHECK(std::equal(written.begin() + kUwsgiHeaderBytes, written.end(),
                          body.begin()));
  FEALTY_CHECK(step == UwsgiPairReader::Step::kMalformed || end == body.size());
  return 0;
}
