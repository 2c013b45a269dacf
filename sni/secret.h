#pragma once

#include <openssl/crypto.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace fealty::sni {

// Bytes whose memory is wiped before it goes: private keys on their way. A
// fixed capacity, so that nothing is left behind by growth.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t capacity)
      : data_(static_cast<unsigned char*>(OPENSSL_zalloc(capacity + 1))),
        capacity_(data_ == nullptr ? 0 : capacity) {}
  SecretBytes(SecretBytes&& other) noexcept { swap(other); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    swap(other);
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { OPENSSL_clear_free(data_, capacity_ + 1); }

  [[nodiscard]] unsigned char* data() { return data_; }
  [[nodiscard]] const unsigned char* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // At most the capacity.
  void resize(std::size_t size) { size_ = size < capacity_ ? size : capacity_; }
  // False where there is no room.
  bool push(unsigned char byte) {
    if (size_ == capacity_) return false;
    data_[size_++] = byte;
    return true;
  }
  [[nodiscard]] std::span<const unsigned char> span() const {
    return {data_, size_};
  }
  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(data_), size_};
  }

 private:
  void swap(SecretBytes& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  unsigned char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace fealty::sni
