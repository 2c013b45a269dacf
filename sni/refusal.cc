#include "sni/refusal.h"

namespace fealty::sni {

std::string_view text_of(Refusal why) {
  switch (why) {
    case Refusal::kTooLarge:
      return "a PEM text is over 64 KiB, or a block in it is over its limit";
    case Refusal::kNotPem:
      return "a text is no PEM: blocks from BEGIN to END of one name, base64 "
             "between them, no headers, no NUL";
    case Refusal::kNoCertificate:
      return "the chain holds no CERTIFICATE";
    case Refusal::kTooManyCertificates:
      return "there are too many certificates: a chain has at most 8, a "
             "client CA file 64";
    case Refusal::kBadCertificate:
      return "a certificate of the chain cannot be read";
    case Refusal::kNoKey:
      return "there is no private key";
    case Refusal::kSeveralKeys:
      return "there are several private keys: give the one of the chain's "
             "first certificate";
    case Refusal::kBadKey:
      return "the private key cannot be read";
    case Refusal::kEncryptedKey:
      return "the private key is encrypted: nobody is here to give its "
             "password";
    case Refusal::kKeyMismatch:
      return "the private key does not belong to the chain's first "
             "certificate";
    case Refusal::kExpired:
      return "the certificate has expired: renew it";
    case Refusal::kNotYetValid:
      return "the certificate is not valid yet: check its dates and this "
             "server's clock";
    case Refusal::kWeakKey:
      return "the key is too weak: RSA has 2048 bits or more, EC is on P-256, "
             "P-384 or P-521";
    case Refusal::kUnusualKey:
      return "the key is of a kind that is not served: RSA up to 4096 bits, "
             "P-256, P-384, P-521, Ed25519 are";
    case Refusal::kWeakDigest:
      return "a certificate of the chain is signed with MD5 or SHA-1: have it "
             "issued with SHA-256";
    case Refusal::kBadClientCa:
      return "the client CA file holds no readable CERTIFICATE";
    case Refusal::kBadCrl:
      return "the revocation list cannot be read";
    case Refusal::kBadName:
      return "that is no name of a domain or wildcard";
    case Refusal::kRefusedByTls:
      return "OpenSSL does not serve this chain at its security level: look "
             "for short keys or old digests in the intermediates";
    case Refusal::kTooManyOrigins:
      return "too many keys and nodes of this name bring certificates";
    case Refusal::kBrokenChain:
      return "the chain is out of order: behind the domain's certificate stands "
             "the one that signed it, and so on";
    case Refusal::kChainOutOfDate:
      return "an intermediate certificate of the chain has expired, or is not "
             "valid yet: fetch the CA's present one";
    case Refusal::kNotForServers:
      return "the certificate is not for servers: its extended key usage has no "
             "serverAuth";
  }
  return "unknown";
}

}  // namespace fealty::sni
