#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "subscription/client_rule.h"
#include "subscription/hash.h"
#include "subscription/sni_files.h"

namespace fealty::subscription {

// Hands the certificates that announcements bring to whoever serves them, once
// for each change: bytes are read when an announcement names other files or
// texts than before, when a file was written or exchanged since, and again
// within the two seconds in which a file's times may not tell. A refresh
// otherwise reads nothing. Control thread only.
//
// The nodes of one key may bring different material, such as an RSA and an ECDSA
// certificate: each SniSource::name() is a source of its own. A source that has
// something new replaces what it brought before. It goes when no node of the key
// names it any more (keep_only) and it was not heard for a while, since one node may
// name several in turn; all of them go when the pool does.
//
// Bounds: kSourcesMost a key, of which those that live nodes name do not give way
// to others; some 150 bytes a key that has material; three files of
// SniFiles::kFileBytesMax a change.
class Materials {
 public:
  static constexpr std::size_t kSourcesMost = 64;
  // What was refused is offered again so often, since some reasons pass.
  static constexpr std::int64_t kRetry_ms = 60'000;

  struct Hooks {
    // Takes `material` of `key`, in place of what `source` brought before;
    // `source` means something within one key only. Returns what is wrong with
    // it, for people: then the earlier one is expected to stay in use.
    std::function<std::optional<std::string>(
        std::string_view key, const Hash128& source, SniMaterial material)>
        deliver;
    // No node names the source any more.
    std::function<void(std::string_view key, const Hash128& source)> retire;
    // Whether clients are judged by what the source brought, and let in only
    // with a certificate.
    std::function<bool(std::string_view key, const Hash128& source)> guards;
  };

  explicit Materials(const Clock& clock) : clock_(clock) {}

  // Without `deliver` nothing is read.
  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }

  // The next announcement of each source is read whatever it says.
  void read_again();

  enum class Outcome : std::uint8_t {
    kNothing,      // no material, or nobody serves it
    kUnchanged,
    kTaken,
    kTakenAgain,   // what was named before is again
    kRefused,      // problem() says why
    kStillRefused, // for the same reason as before
  };
  // `objection`: why it must not be taken, for people; "": it may.
  [[nodiscard]] Outcome on_announcement(std::string_view key,
                                        const SniSource& announced,
                                        std::string_view objection = {});
  // What the key's `announced` brought last was not taken.
  [[nodiscard]] bool is_refused(std::string_view key,
                                const SniSource& announced) const;
  // What nodes call the source by that they name; 0: none. Sources of one key
  // have different tags.
  [[nodiscard]] std::uint32_t tag_of(const SniSource& announced) const;

  // The nodes of `key` name the sources of these tags now. Others that were not
  // heard for `linger_ms` are retired. What those that stay make of the key:
  // unusable where one of them demands clients' certificates, and none that does
  // can judge them.
  [[nodiscard]] ClientRule keep_only(std::string_view key,
                                     std::span<const std::uint32_t> tags,
                                     std::int64_t linger_ms);
  // Calls `visit` with each key one of whose sources may be retired by now.
  template <typename Visit>
  void for_each_due(const Visit& visit) {
    const std::int64_t now_ms = clock_.monotonic_ms();
    while (!due_.empty() && due_.front().at_ms <= now_ms) {
      const std::string key = std::move(due_.front().key);
      due_.pop_front();
      const auto at = keys_.find(key);
      if (at == keys_.end()) continue;
      at->second.lingers = false;
      visit(key);
    }
  }
  void on_pool_gone(std::string_view key);

  // What is wrong with what the key's nodes bring; empty where nothing is.
  [[nodiscard]] std::string problem(std::string_view key) const;
  // Keys that have one.
  [[nodiscard]] std::size_t problem_count() const;
  [[nodiscard]] std::size_t key_count() const { return keys_.size(); }
  // How often bytes were read.
  [[nodiscard]] std::uint64_t reads() const { return reads_; }

 private:
  struct Source {
    Hash128 name;
    Hash128 state;
    std::int64_t heard_ms = 0;
    std::int64_t read_ms = 0;
    bool named = true;               // by a node, as of the last keep_only()
    bool settled = false;
    bool demands = false;
    std::string problem;
  };
  struct Key {
    std::vector<Source> sources;
    bool crowded = false;            // another source found no place
    bool lingers = false;            // it is among those that are due
  };
  struct Due {
    std::string key;
    std::int64_t at_ms;
  };
  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  [[nodiscard]] static std::uint32_t tag_of(const Hash128& name);
  [[nodiscard]] Source* source_of(std::string_view key, const Hash128& name);
  [[nodiscard]] bool make_room(std::string_view key,
                               std::vector<Source>& sources);
  [[nodiscard]] Outcome take(std::string_view key, Source& source,
                             const SniSource& announced,
                             std::string_view objection);
  [[nodiscard]] static std::string problem_of(const Key& key);

  const Clock& clock_;
  KeyedHash hash_;
  Hooks hooks_;
  std::unordered_map<std::string, Key, StringHash, std::equal_to<>> keys_;
  std::deque<Due> due_;
  std::uint64_t reads_ = 0;
};

}  // namespace fealty::subscription
