#pragma once

#include "wire/subscription_key.h"

// The form of a key is part of the protocol, and announcers check theirs by it
// too: it lives in wire/.
namespace fealty::subscription {

using wire::kKeyBytesMax;
using wire::key_file_name;
using wire::normalise_key;
using wire::shares_key_file;
using wire::without_mountpoint;
using wire::without_port;

}  // namespace fealty::subscription
