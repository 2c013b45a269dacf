#include "conf/static_nodes.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "conf/values.h"

namespace fealty::conf {
namespace {

using subscription::Algorithm;
using subscription::Protocol;
using subscription::StaticNode;

constexpr std::uint64_t kByteMost = 255;

bool same_place(const StaticNode& a, const StaticNode& b) {
  return a.key == b.key && a.address.to_string() == b.address.to_string();
}

class Reader {
 public:
  Reader(const std::string& folder, subscription::Options& options)
      : folder_(folder), options_(options) {}

  void read_entry(Section& item) {
    StaticNode common;
    read_key(item, common);
    const std::vector<Place> places = read_addresses(item);
    read_protocol(item, common);
    item.scalar("weight", common.weight,
                IntegerFormat{1, subscription::kWeightMax});
    item.scalar("backup", common.backup,
                IntegerFormat{0, std::numeric_limits<std::uint32_t>::max()});
    read_algorithm(item, common);
    for (const Place& place : places) add(item, common, place);
  }

 private:
  struct Place {
    Address address;
    Position at;
  };

  void read_key(Section& item, StaticNode& node) {
    std::string text;
    const Value* const value = item.required(
        "key", text, TextFormat{subscription::kKeyBytesMax});
    if (value == nullptr) return;
    auto key = subscription::static_key(text, options_.mountpoints);
    if (key) {
      node.key = *std::move(key);
    } else {
      item.problem(value->at, "key", cited(text) + key.error().message);
    }
  }

  std::vector<Place> read_addresses(Section& item) {
    std::vector<Place> places;
    const bool there = item.scalars("nodes", "[]", [&](const Value& value) {
      const auto address = AddressFormat{folder_}.parse(value.text);
      if (!address) {
        item.problem(value.at, "nodes", address.error().message);
        return std::string();
      }
      places.push_back({address.value(), value.at});
      return AddressFormat::show(address.value());
    });
    const Value* const list = item.find("nodes");
    if (!there || (list->kind == Value::Kind::kList && list->items.empty())) {
      item.problem(there ? list->at : item.at(), "nodes",
                   "at least one address is needed, such as "
                   "[\"127.0.0.1:8080\"]");
    }
    return places;
  }

  void read_protocol(Section& item, StaticNode& node) {
    const WordFormat words{{"uwsgi", "http"}};
    std::size_t word = 0;
    item.required("protocol", word, words);
    node.protocol = word == 0 ? Protocol::kUwsgi : Protocol::kHttp;
    for (auto [name, field] : {std::pair{"modifier1", &node.modifier1},
                               std::pair{"modifier2", &node.modifier2}}) {
      const Value* const value =
          item.scalar(name, *field, IntegerFormat{0, kByteMost});
      if (value != nullptr && word != 0) {
        item.problem(value->at, name, "only protocol uwsgi has it");
      }
    }
  }

  // In the order of subscription::Algorithm.
  static void read_algorithm(Section& item, StaticNode& node) {
    std::optional<std::size_t> word;
    item.scalar("algorithm", word,
                Nullable<WordFormat>{
                    {{"wrr", "lrc", "wlrc", "iphash", "sticky"}}});
    if (word) node.algorithm = static_cast<Algorithm>(*word);
  }

  void add(Section& item, const StaticNode& common, const Place& place) {
    StaticNode node = common;
    node.address = place.address;
    auto& nodes = options_.static_nodes;
    const bool known =
        std::any_of(nodes.begin(), nodes.end(), [&](const StaticNode& other) {
          return same_place(other, node);
        });
    if (known) {
      item.problem(place.at, "nodes",
                   cited(place.address.to_string()) +
                       " is a node of this key's already");
    }
    if (!known && !node.key.empty()) nodes.push_back(std::move(node));
  }

  const std::string& folder_;
  subscription::Options& options_;
};

}  // namespace

void read_static_nodes(Section& file, const std::string& folder,
                       subscription::Options& options) {
  Reader reader(folder, options);
  file.maps("static", [&](Section& item) { reader.read_entry(item); });
}

}  // namespace fealty::conf
