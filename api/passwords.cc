#include "api/passwords.h"

#include <sodium.h>

#include "base/check.h"

namespace fealty::api {
namespace {

// One of the places at the hashing; given back in any case.
class Turn {
 public:
  explicit Turn(std::counting_semaphore<64>& turns) : turns_(turns) {
    turns_.acquire();
  }
  ~Turn() { turns_.release(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::counting_semaphore<64>& turns_;
};

}  // namespace

Passwords::Passwords(std::ptrdiff_t at_a_time, const Clock& clock)
    : clock_(clock), turns_(at_a_time) {
  randombytes_buf(key_.data(), key_.size());
  nobodys_ = hash(std::string(key_.begin(), key_.end()));
}

std::string Passwords::hash(const std::string& password) {
  const Turn turn(turns_);
  std::array<char, crypto_pwhash_STRBYTES> text{};
  // Fails only where there is no memory.
  FEALTY_CHECK(crypto_pwhash_str_alg(
                   text.data(), password.data(), password.size(),
                   crypto_pwhash_OPSLIMIT_INTERACTIVE,
                   crypto_pwhash_MEMLIMIT_INTERACTIVE,
                   crypto_pwhash_ALG_ARGON2ID13) == 0);
  return text.data();
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
  const auto found = until_ms_.find(digest);
  return found != until_ms_.end() && clock_.monotonic_ms() < found->second;
}

void Passwords::remember(const Digest& digest) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  const std::lock_guard lock(mutex_);
  if (until_ms_.size() >= kRememberedMax) {
    std::erase_if(until_ms_,
                  [now_ms](const auto& item) { return item.second <= now_ms; });
  }
  if (until_ms_.size() >= kRememberedMax) until_ms_.erase(until_ms_.begin());
  until_ms_[digest] = now_ms + kRememberMs;
}

bool Passwords::verify(std::string_view name, const std::string& password,
                       const std::string& stored) {
  const std::string& hash = stored.empty() ? nobodys_ : stored;
  {
    const Turn turn(turns_);
    // Those who waited for one who asked the same need not ask again.
    if (!stored.empty() && remembers(name, password, stored)) return true;
    const bool fits = crypto_pwhash_str_verify(hash.c_str(), password.data(),
                                               password.size()) == 0;
    if (!fits || stored.empty()) return false;
  }
  remember(digest_of(name, password, stored));
  return true;
}

bool equals_in_constant_time(std::string_view one, std::string_view other) {
  return one.size() == other.size() &&
         sodium_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace fealty::api
