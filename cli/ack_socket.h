#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/socket_file.h"

namespace fealty::cli {

// Where routers acknowledge to: `[subscription ack] KEY => new node: ADDRESS`,
// once for each node that is new to them. What arrives is for people to read:
// anybody on this host may send it, so nothing depends on it but what is said.
class AckSocket {
 public:
  static constexpr std::size_t kAckBytesMax = 1024;

  using OnAck = std::function<void(std::string_view text)>;

  AckSocket(Loop& loop, OnAck on_ack);
  AckSocket(const AckSocket&) = delete;
  AckSocket& operator=(const AckSocket&) = delete;

  // A free UDP port of 127.0.0.1. A Unix path of ours might not be one that the
  // router can see or write to.
  [[nodiscard]] Status open_own();
  // A given one. False where somebody else has bound it: then the
  // acknowledgements are theirs.
  [[nodiscard]] Result<bool> open(const Address& address);

  // As it goes into announcements; "" before it is open.
  [[nodiscard]] const std::string& address() const { return address_; }
  // Whether acknowledgements come here.
  [[nodiscard]] bool listens() const { return fd_.valid(); }

 private:
  void on_readable(int events);
  void watch(UniqueFd fd);

  Loop& loop_;
  OnAck on_ack_;
  UniqueFd fd_;
  IoWatcher io_;
  std::string address_;
  std::optional<SocketFile> file_;
};

// The key of an acknowledgement of `address`; empty where it is none.
[[nodiscard]] std::string_view acknowledged_key(std::string_view text,
                                                std::string_view address);

}  // namespace fealty::cli
