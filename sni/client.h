#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "sni/openssl.h"

namespace fealty::sni {

inline constexpr std::size_t kSubjectBytesMax = 1024;

// A certificate's subject in one line, `/C=IT/O=Foo/CN=bar`, as applications
// know it: short names of the attributes (or their numbers), values in UTF-8.
// Everything but printable ASCII, and of that `/` and `\`, is written `\xHH`, so
// that no value can pose as another attribute (OpenSSL's own function lets it).
// Empty where it would be longer than kSubjectBytesMax: such a certificate is
// not accepted.
[[nodiscard]] std::optional<std::string> subject_of(const X509* certificate);

// The certificate in PEM; its DER bytes. "" where memory ran out.
[[nodiscard]] std::string pem_of(X509* certificate);
[[nodiscard]] std::string der_of(const X509* certificate);

}  // namespace fealty::sni
