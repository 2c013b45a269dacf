#include "sni/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/hkdf.h"

namespace fealty::sni {
namespace {

constexpr std::string_view kMark = "fealty ticket keys 2\n";
constexpr std::string_view kPurpose = "tickets 1 ";

// Looked up once: tickets are opened in handshakes.
const EVP_CIPHER* cipher_of_tickets() {
  static const EVP_CIPHER* const found =
      EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  FEALTY_CHECK(found != nullptr);
  return found;
}

TicketKey make_key() {
  TicketKey key;
  FEALTY_CHECK(RAND_bytes(key.name.data(), key.name.size()) == 1);
  FEALTY_CHECK(RAND_priv_bytes(key.cipher.data(), key.cipher.size()) == 1);
  FEALTY_CHECK(RAND_priv_bytes(key.mac.data(), key.mac.size()) == 1);
  return key;
}

TicketKey key_from(std::span<const unsigned char> record) {
  TicketKey key;
  const unsigned char* at = record.data();
  std::memcpy(key.name.data(), at, key.name.size());
  at += key.name.size();
  std::memcpy(key.cipher.data(), at, key.cipher.size());
  at += key.cipher.size();
  std::memcpy(key.mac.data(), at, key.mac.size());
  return key;
}

std::optional<std::vector<TicketKey>> keys_from(
    std::span<const unsigned char> records) {
  if (records.empty() || records.size() % TicketKey::kBytes != 0 ||
      records.size() > TicketKey::kBytes * TicketKeys::kKeysMax) {
    return std::nullopt;
  }
  std::vector<TicketKey> keys;
  for (; !records.empty(); records = records.subspan(TicketKey::kBytes)) {
    keys.push_back(key_from(records));
  }
  return keys;
}

bool same_key(const TicketKey& one, const TicketKey& other) {
  return one.name == other.name &&
         CRYPTO_memcmp(one.cipher.data(), other.cipher.data(),
                       one.cipher.size()) == 0 &&
         CRYPTO_memcmp(one.mac.data(), other.mac.data(), one.mac.size()) == 0;
}

SecretBytes secret_from(std::string_view text) {
  SecretBytes secret(text.size());
  for (const char byte : text) {
    FEALTY_CHECK(secret.push(static_cast<unsigned char>(byte)));
  }
  return secret;
}

bool init_mac(EVP_MAC_CTX* mac, const TicketKey& key) {
  char digest[] = "SHA256";
  auto* const secret = const_cast<unsigned char*>(key.mac.data());
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret,
                                        key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

void append(SecretBytes& out, const void* bytes, std::size_t count) {
  const auto* const from = static_cast<const unsigned char*>(bytes);
  for (std::size_t i = 0; i < count; ++i) FEALTY_CHECK(out.push(from[i]));
}

}  // namespace

TicketKey::~TicketKey() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

int TicketKeys::seal(unsigned char* name, unsigned char* iv,
                     EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const {
  if (keys_.empty()) return 0;
  const TicketKey& key = keys_.front();
  std::memcpy(name, key.name.data(), key.name.size());
  const int iv_bytes = EVP_CIPHER_get_iv_length(cipher_of_tickets());
  const bool done =
      RAND_bytes(iv, iv_bytes) == 1 &&
      EVP_EncryptInit_ex2(cipher, cipher_of_tickets(), key.cipher.data(), iv,
                          nullptr) == 1 &&
      init_mac(mac, key);
  return done ? 1 : -1;
}

int TicketKeys::open(const unsigned char* name, const unsigned char* iv,
                     EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const {
  for (const TicketKey& key : keys_) {
    if (std::memcmp(name, key.name.data(), key.name.size()) != 0) continue;
    const bool done =
        EVP_DecryptInit_ex2(cipher, cipher_of_tickets(), key.cipher.data(), iv,
                            nullptr) == 1 &&
        init_mac(mac, key);
    if (!done) return -1;
    return &key == &keys_.front() ? 1 : 2;
  }
  return 0;
}

TicketKeyRing::TicketKeyRing(std::int64_t rotate_s, std::int64_t now_s)
    : rotate_s_(rotate_s), made_s_(now_s) {
  publish({make_key()});
}

void TicketKeyRing::publish(std::vector<TicketKey> keys) {
  if (keys.size() > TicketKeys::kKeysMax) keys.resize(TicketKeys::kKeysMax);
  current_ = std::make_shared<const TicketKeys>(std::move(keys));
}

// Those of the epoch, of the next one and of the last.
std::vector<TicketKey> TicketKeyRing::derived(std::int64_t now_s) const {
  const std::int64_t epoch = now_s / rotate_s_;
  std::vector<TicketKey> keys;
  for (const std::int64_t each : {epoch, epoch + 1, epoch - 1}) {
    SecretBytes record(TicketKey::kBytes);
    record.resize(TicketKey::kBytes);
    derive_key(secret_.view(),
               std::string(kPurpose) + std::to_string(rotate_s_) + " " +
                   std::to_string(each),
               {record.data(), record.size()});
    keys.push_back(key_from(record.span()));
  }
  return keys;
}

bool TicketKeyRing::put_first(std::vector<TicketKey> keys) {
  const auto& old = current_->keys();
  if (old.size() >= keys.size() &&
      std::equal(keys.begin(), keys.end(), old.begin(), &same_key)) {
    return false;
  }
  for (const TicketKey& key : old) {
    const auto is_it = [&](const TicketKey& other) {
      return key.name == other.name;
    };
    if (std::none_of(keys.begin(), keys.end(), is_it)) keys.push_back(key);
  }
  publish(std::move(keys));
  return true;
}

bool TicketKeyRing::derive_from(std::string_view secret, std::int64_t now_s) {
  secret_ = secret_from(secret);
  from_outside_ = false;
  return put_first(derived(now_s));
}

bool TicketKeyRing::make_own(std::int64_t now_s) {
  from_outside_ = false;
  if (!derives()) return false;
  secret_ = SecretBytes();
  made_s_ = now_s;
  publish({make_key()});
  return true;
}

// A clock that was set back does not stop the rotation.
bool TicketKeyRing::rotate_if_due(std::int64_t now_s) {
  if (derives()) return put_first(derived(now_s));
  if (from_outside_) return false;
  if (now_s >= made_s_ && now_s - made_s_ < rotate_s_) return false;
  std::vector<TicketKey> keys = {make_key()};
  keys.insert(keys.end(), current_->keys().begin(), current_->keys().end());
  made_s_ = now_s;
  publish(std::move(keys));
  return true;
}

bool TicketKeyRing::may_set(std::span<const unsigned char> records) {
  return keys_from(records).has_value();
}

bool TicketKeyRing::set(std::span<const unsigned char> records,
                        std::int64_t now_s) {
  auto keys = keys_from(records);
  if (!keys) return false;
  const bool was_outside = std::exchange(from_outside_, true);
  secret_ = SecretBytes();
  if (!put_first(*std::move(keys)) && was_outside) return false;
  made_s_ = now_s;
  return true;
}

SecretBytes TicketKeyRing::save() const {
  const auto& keys = current_->keys();
  const std::uint32_t secret_bytes = static_cast<std::uint32_t>(secret_.size());
  SecretBytes out(kMark.size() + sizeof made_s_ + 1 + sizeof secret_bytes +
                  secret_bytes + keys.size() * TicketKey::kBytes);
  append(out, kMark.data(), kMark.size());
  append(out, &made_s_, sizeof made_s_);
  const unsigned char outside = from_outside_ ? 1 : 0;
  append(out, &outside, 1);
  append(out, &secret_bytes, sizeof secret_bytes);
  append(out, secret_.data(), secret_.size());
  for (const TicketKey& key : keys) {
    append(out, key.name.data(), key.name.size());
    append(out, key.cipher.data(), key.cipher.size());
    append(out, key.mac.data(), key.mac.size());
  }
  return out;
}

bool TicketKeyRing::restore(std::span<const unsigned char> saved) {
  std::uint32_t secret_bytes = 0;
  const std::size_t outside_at = kMark.size() + sizeof made_s_;
  const std::size_t head = outside_at + 1 + sizeof secret_bytes;
  if (saved.size() < head ||
      std::memcmp(saved.data(), kMark.data(), kMark.size()) != 0) {
    return false;
  }
  std::memcpy(&secret_bytes, saved.data() + outside_at + 1,
              sizeof secret_bytes);
  if (saved.size() - head < secret_bytes) return false;
  auto keys = keys_from(saved.subspan(head + secret_bytes));
  if (!keys) return false;
  std::memcpy(&made_s_, saved.data() + kMark.size(), sizeof made_s_);
  from_outside_ = saved[outside_at] != 0;
  secret_ = secret_from(
      {reinterpret_cast<const char*>(saved.data()) + head, secret_bytes});
  publish(*std::move(keys));
  return true;
}

}  // namespace fealty::sni
