#include "sni/failure.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

namespace fealty::sni {
namespace {

// OpenSSL's reasons for alerts of the peer's: 1000 and the alert's number.
constexpr int kAlertsBegin = SSL_AD_REASON_OFFSET;
constexpr int kAlertsEnd = SSL_AD_REASON_OFFSET + 256;

Failure failure_of(int reason) {
  if (reason >= kAlertsBegin && reason < kAlertsEnd) {
    return Failure::kClientAlert;
  }
  switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return Failure::kClosed;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      return Failure::kNotTls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_INAPPROPRIATE_FALLBACK:
      return Failure::kNothingInCommon;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return Failure::kClientCertificate;
    case SSL_R_CALLBACK_FAILED:
    case SSL_R_CERT_CB_ERROR:
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR:
      return Failure::kInternal;
    default:
      return Failure::kProtocol;
  }
}

}  // namespace

std::string_view name_of(Failure why) {
  switch (why) {
    case Failure::kClosed: return "closed";
    case Failure::kTimeout: return "timeout";
    case Failure::kNotTls: return "not_tls";
    case Failure::kNothingInCommon: return "nothing_in_common";
    case Failure::kClientCertificate: return "client_certificate";
    case Failure::kClientAlert: return "client_alert";
    case Failure::kProtocol: return "protocol";
    case Failure::kInternal: return "internal";
  }
  return "unknown";
}

// The first entry of the SSL library's is the cause; what stands before it (of
// X.509, of ASN.1) only led there.
Failure take_failure(int ssl_error) {
  Failure why =
      ssl_error == SSL_ERROR_SSL ? Failure::kProtocol : Failure::kClosed;
  while (const unsigned long code = ERR_get_error()) {
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) continue;
    why = failure_of(ERR_GET_REASON(code));
    break;
  }
  ERR_clear_error();
  return why;
}

}  // namespace fealty::sni
