#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace fealty::sni {

enum class TlsVersion : std::uint8_t { k12, k13 };

// Tickets let clients come back without a full handshake. Their keys change
// with time; those of before still open what they sealed.
struct TicketOptions {
  bool enabled = true;
  std::int64_t rotate_s = 12 * 3600;
  // Keys from outside, that several servers share: a file of one to three
  // records of 80 bytes (16 name, 32 AES, 32 HMAC; the first seals), as nginx
  // and `openssl rand 80` make them. "": the keys are made here.
  std::string keys_file;
  // Or a secret that several servers share, such as their Legion's: the keys are
  // derived from it and the time. "": they are not.
  std::string secret_file;
};

// What all listeners have in common.
struct Options {
  TlsVersion min_version = TlsVersion::k12;
  // "default", or an OpenSSL list of cipher suites for TLS 1.2. Those of TLS
  // 1.3 are fixed.
  std::string ciphers = "default";
  TicketOptions tickets;
  unsigned client_depth = 2;             // intermediates of a client's chain
  std::string client_crl_file;           // for every identity; "": none
  std::size_t client_chain_bytes_max = 32 * 1024;
  unsigned expiry_alarm_days = 14;
};

// What a listener serves to those who name nobody, or somebody unknown: files
// in PEM. Its `client_ca` is as sni_ca of an announcement: a leading `!` demands
// a certificate.
struct DefaultIdentity {
  std::string certificate;
  std::string key;
  std::string client_ca;

  bool operator==(const DefaultIdentity&) const = default;
};

}  // namespace fealty::sni
