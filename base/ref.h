#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace fealty {

// How many Refs point at an object, kept inside it: one allocation an object,
// and a pointer is enough to share it again. Begins with the one reference that
// the maker owns. Any thread.
class RefCount {
 public:
  void add() const { count_.fetch_add(1, std::memory_order_relaxed); }
  // True where that was the last: the caller frees the object.
  [[nodiscard]] bool drop() const {
    return count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  // True where the caller's reference is the only one.
  [[nodiscard]] bool unique() const {
    return count_.load(std::memory_order_acquire) == 1;
  }

 private:
  mutable std::atomic<std::uint32_t> count_{1};
};

// Owns one reference to a T, which offers acquire() and release() (the latter
// frees it with the last). Null where empty. Copies may live in any thread; one
// Ref belongs to one thread at a time.
template <typename T>
class Ref {
 public:
  Ref() = default;
  // Takes over a reference that the caller owns.
  [[nodiscard]] static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  // Adds one to an object that somebody else keeps alive meanwhile.
  [[nodiscard]] static Ref share(T* object) {
    if (object != nullptr) object->acquire();
    return adopt(object);
  }
  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->acquire();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { reset(); }

  void reset() {
    if (T* const object = std::exchange(object_, nullptr)) object->release();
  }
  // The reference becomes the caller's.
  [[nodiscard]] T* detach() { return std::exchange(object_, nullptr); }
  [[nodiscard]] T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  friend bool operator==(const Ref&, const Ref&) = default;
  friend bool operator==(const Ref& ref, std::nullptr_t) {
    return ref.object_ == nullptr;
  }

 private:
  T* object_ = nullptr;
};

}  // namespace fealty
