#include "conf/forwarder_config.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/secret_file.h"
#include "conf/document.h"
#include "conf/values.h"

namespace fealty::conf {
namespace {

constexpr std::string_view kKey = "forwarder";
constexpr std::string_view kCipher = "aes-256-gcm";
constexpr std::size_t kMembersMax = 64;
constexpr std::size_t kUsersMax = 64;
constexpr std::int64_t kHour_s = 3600;

using Options = legion::ForwarderOptions;

class Reader {
 public:
  Reader(Section& part, const std::string& folder,
         bool (*knows_user)(const std::string&))
      : part_(part), folder_(folder), knows_user_(knows_user) {}

  Options read() {
    read_wire();
    read_secret(part_, folder_, options_.secret, options_.secret_file);
    part_.scalar("skew_tolerance", options_.skew_tolerance_s,
                 SecondsFormat{1, kHour_s});
    read_unix("listen", options_.listen);
    read_listen();
    read_udp("send_from", options_.send_from);
    read_to();
    read_udp("receive", options_.receive);
    read_unix("deliver", options_.deliver);
    check_halves();
    part_.finish();
    return std::move(options_);
  }

 private:
  // There is one wire. It is named so that nobody takes it for uWSGI's.
  void read_wire() {
    const auto only = [&](std::string_view key, std::string_view word) {
      const Value* const value = part_.find(key);
      if (value != nullptr && value->text != word) {
        part_.problem(value->at, key,
                      "forwarders speak " + std::string(word) + " only");
      }
      part_.dump(key, yaml_quoted(word));
    };
    only("wire", "sealed");
    only("cipher", kCipher);
  }

  void read_address(std::string_view key, std::optional<Address>& out) {
    part_.scalar(key, out, Nullable<AddressFormat>{{folder_}});
  }

  void read_udp(std::string_view key, std::optional<Address>& out) {
    read_address(key, out);
    if (!out || out->is_ip()) return;
    part_.problem(part_.find(key)->at, key,
                  "members speak UDP: an IP address and a port are needed");
  }

  // The kernel says who sends there, and files who may.
  void read_unix(std::string_view key, std::optional<Address>& out) {
    read_address(key, out);
    if (!out || out->is_unix()) return;
    part_.problem(part_.find(key)->at, key,
                  "private keys go that way: only a Unix socket (unix:/path) "
                  "will do");
  }

  void read_listen() {
    std::optional<mode_t> mode = options_.listen_mode;
    part_.scalar("listen_mode", mode, ModeFormat{});
    options_.listen_mode = mode.value_or(options_.listen_mode);
    if (part_.find("listen_group") == nullptr) {
      part_.dump("listen_group", "null");
    } else {
      part_.scalar("listen_group", options_.listen_group, UserFormat{});
    }
    options_.listen_users = {"www-data"};
    const Value* const list = part_.find("listen_users");
    if (list != nullptr) options_.listen_users.clear();
    part_.scalars("listen_users", "[\"www-data\"]", [&](const Value& item) {
      return read_user(item);
    });
    if (options_.listen_users.size() > kUsersMax) {
      part_.problem(list->at, "listen_users", "more than 64 of them");
    }
  }

  std::string read_user(const Value& item) {
    const auto user = UserFormat::parse(item.text);
    if (!user) {
      part_.problem(item.at, "listen_users", user.error().message);
      return {};
    }
    if (item.text.find_first_not_of("0123456789") == item.text.npos) {
      const auto uid = IntegerFormat{0, kUidMost}.parse(item.text);
      if (!uid) {
        part_.problem(item.at, "listen_users", uid.error().message);
        return {};
      }
    }
    if (knows_user_ != nullptr && !knows_user_(user.value())) {
      part_.problem(item.at, "listen_users",
                    "no user '" + user.value() + "' on this system");
    }
    options_.listen_users.push_back(user.value());
    return UserFormat::show(user.value());
  }

  void read_to() {
    part_.scalars("to", "[]", [&](const Value& item) {
      const auto address = AddressFormat{folder_}.parse(item.text);
      if (!address) {
        part_.problem(item.at, "to", address.error().message);
        return std::string();
      }
      judge_target(item, address.value());
      options_.to.push_back(address.value());
      return AddressFormat::show(address.value());
    });
    if (options_.to.size() > kMembersMax) {
      part_.problem(part_.find("to")->at, "to", "more than 64 of them");
    }
  }

  void judge_target(const Value& item, const Address& address) {
    const std::optional<Address>& from = options_.send_from;
    const int family = from ? from->family()
                       : options_.to.empty() ? address.family()
                                             : options_.to.front().family();
    if (!address.is_ip() || (from && !from->is_ip())) {
      part_.problem(item.at, "to",
                    "members speak UDP: an IP address and a port are needed");
    } else if (address.family() != family) {
      part_.problem(item.at, "to",
                    cited(item.text) + " is of another kind than " +
                        (from ? "send_from" : "the first one"));
    }
  }

  void check_halves() {
    const auto belong = [&](bool one, std::string_view its, bool other,
                            std::string_view others) {
      if (one == other) return;
      const std::string_view missing = one ? others : its;
      part_.problem(part_.at(), missing,
                    "`" + std::string(one ? its : others) +
                        "` is of no use without it");
    };
    belong(options_.listen.has_value(), "listen", !options_.to.empty(), "to");
    belong(options_.receive.has_value(), "receive",
           options_.deliver.has_value(), "deliver");
    if (!options_.listen && !options_.receive) {
      part_.problem(part_.at(), "listen",
                    "listen and to, receive and deliver, or all of them are "
                    "needed");
    }
    const auto same = [](const auto& one, const Address& other) {
      return one && one->to_string() == other.to_string();
    };
    if (options_.listen && same(options_.deliver, *options_.listen)) {
      part_.problem(part_.find("deliver")->at, "deliver",
                    "it is `listen`: name the router's subscription server");
    }
    for (const Address& to : options_.to) {
      if (!same(options_.receive, to)) continue;
      part_.problem(part_.find("to")->at, "to",
                    "it holds `receive`: name the other members only");
    }
  }

  Section& part_;
  const std::string& folder_;
  bool (*knows_user_)(const std::string&);
  Options options_;
};

}  // namespace

std::optional<Options> read_forwarder(Section& file, const std::string& folder,
                                      bool (*knows_user)(const std::string&)) {
  if (file.find(kKey) == nullptr) {
    file.dump(kKey, "null");
    return std::nullopt;
  }
  Section part = file.section(kKey);
  return Reader(part, folder, knows_user).read();
}

void read_secret(Section& part, const std::string& folder, std::string& secret,
                 std::string& secret_file) {
  const Value* const text = part.find("secret");
  const Value* const file = part.find("secret_file");
  if ((text == nullptr) == (file == nullptr)) {
    part.problem(text == nullptr ? part.at() : text->at, "secret",
                 "either secret or secret_file is needed");
  }
  if (text != nullptr) {
    const auto parsed = text->kind == Value::Kind::kScalar
                            ? TextFormat{kSecretBytesMax}.parse(text->text)
                            : Result<std::string>(
                                  Error{"one value is expected here"});
    if (parsed) {
      secret = parsed.value();
    } else {
      part.problem(text->at, "secret", parsed.error().message);
    }
    part.dump("secret", "\"(not shown)\"");
  }
  if (file != nullptr) {
    part.scalar("secret_file", secret_file, PathFormat{folder});
  }
}

}  // namespace fealty::conf
