#include "api/passwords.h"

#include <sodium.h>

#include "base/check.h"

namespace fealty::api {
namespace {

constexpr std::size_t kWaitingMax = 8;

std::string argon2id(const std::string& password) {
  std::array<char, crypto_pwhash_STRBYTES> text{};
  // Fails only where there is no memory.
  FEALTY_CHECK(crypto_pwhash_str_alg(
                   text.data(), password.data(), password.size(),
                   crypto_pwhash_OPSLIMIT_INTERACTIVE,
                   crypto_pwhash_MEMLIMIT_INTERACTIVE,
                   crypto_pwhash_ALG_ARGON2ID13) == 0);
  return text.data();
}

}  // namespace

Passwords::Passwords(std::size_t at_a_time, const Clock& clock)
    : clock_(clock), turns_(at_a_time, kWaitingMax) {
  randombytes_buf(key_.data(), key_.size());
  nobodys_ = argon2id(std::string(key_.begin(), key_.end()));
}

std::optional<std::string> Passwords::hash(const std::string& password) {
  const Turn turn(turns_);
  if (!turn) return std::nullopt;
  return argon2id(password);
}

Passwords::Digest Passwords::digest_of(std::string_view name,
                                       std::string_view password,
                                       std::string_view stored) const {
  crypto_generichash_state state;
  Digest digest{};
  crypto_generichash_init(&state, key_.data(), key_.size(), digest.size());
  for (const std::string_view part : {name, password, stored}) {
    const std::uint64_t size = part.size();
    crypto_generichash_update(
        &state, reinterpret_cast<const unsigned char*>(&size), sizeof size);
    crypto_generichash_update(
        &state, reinterpret_cast<const unsigned char*>(part.data()), size);
  }
  crypto_generichash_final(&state, digest.data(), digest.size());
  return digest;
}

bool Passwords::remembers(std::string_view name, std::string_view password,
                          std::string_view stored) {
  const Digest digest = digest_of(name, password, stored);
  const std::lock_guard lock(mutex_);
  return remembers(digest);
}

bool Passwords::remembers(const Digest& digest) const {
  const auto found = until_ms_.find(digest);
  return found != until_ms_.end() && clock_.monotonic_ms() < found->second;
}

void Passwords::remember(const Digest& digest) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (until_ms_.size() >= kRememberedMax) {
    std::erase_if(until_ms_,
                  [now_ms](const auto& item) { return item.second <= now_ms; });
  }
  if (until_ms_.size() >= kRememberedMax) until_ms_.erase(until_ms_.begin());
  until_ms_[digest] = now_ms + kRememberMs;
}

Passwords::Verdict Passwords::verify(std::string_view name,
                                     const std::string& password,
                                     const std::string& stored,
                                     const std::function<bool()>& may_try) {
  const Digest digest = digest_of(name, password, stored);
  std::promise<Verdict> promise;
  {
    std::unique_lock lock(mutex_);
    if (!stored.empty() && remembers(digest)) return Verdict::kRight;
    const auto [at, is_first] =
        under_way_.try_emplace(digest, promise.get_future().share());
    if (!is_first) {
      const std::shared_future<Verdict> others = at->second;
      lock.unlock();
      return others.get();
    }
  }
  const Verdict verdict = find_out(password, stored, may_try);
  {
    const std::lock_guard lock(mutex_);
    if (verdict == Verdict::kRight) remember(digest);
    under_way_.erase(digest);
  }
  promise.set_value(verdict);
  return verdict;
}

Passwords::Verdict Passwords::find_out(const std::string& password,
                                       const std::string& stored,
                                       const std::function<bool()>& may_try) {
  const Turn turn(turns_);
  if (!turn) return Verdict::kBusy;
  if (!may_try()) return Verdict::kRefused;
  const std::string& hash = stored.empty() ? nobodys_ : stored;
  const bool fits = crypto_pwhash_str_verify(hash.c_str(), password.data(),
                                             password.size()) == 0;
  return fits && !stored.empty() ? Verdict::kRight : Verdict::kWrong;
}

bool equals_in_constant_time(std::string_view one, std::string_view other) {
  return one.size() == other.size() &&
         sodium_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace fealty::api
