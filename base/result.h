#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace fealty {

// What went wrong, for a person: what, where, why and what to do next.
struct Error {
  std::string message;
};

// A value or the reason why there is none; the shape of C++23's
// std::expected, as far as it is used here. Values and errors are moved, never
// thrown.
template <typename T, typename E = Error>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(E error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Reading the side that is not there is a programmer's mistake.
  [[nodiscard]] T& value() & {
    FEALTY_CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const& {
    FEALTY_CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T&& value() && {
    FEALTY_CHECK(has_value());
    return std::move(*std::get_if<0>(&state_));
  }
  [[nodiscard]] const E& error() const {
    FEALTY_CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, E> state_;
};

// Success without a value.
struct Ok {};
using Status = Result<Ok>;

}  // namespace fealty
