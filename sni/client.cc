#include "sni/client.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>

#include <array>
#include <string_view>

namespace fealty::sni {
namespace {

bool is_plain(unsigned char c) {
  return c >= ' ' && c <= '~' && c != '/' && c != '\\';
}

void append_escaped(std::string_view value, std::string& out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_plain(byte)) {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

void append_name(const ASN1_OBJECT* object, std::string& out) {
  const int nid = OBJ_obj2nid(object);
  if (nid != NID_undef) {
    out += OBJ_nid2sn(nid);
    return;
  }
  std::array<char, 128> number{};
  OBJ_obj2txt(number.data(), number.size(), object, 1);
  out += number.data();
}

// False where it holds no text, or too much of it.
bool append_entry(const X509_NAME_ENTRY* entry, std::string& out) {
  unsigned char* text = nullptr;
  const int bytes =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
  ERR_clear_error();
  if (bytes < 0) return false;
  const std::string_view value(reinterpret_cast<const char*>(text),
                               static_cast<std::size_t>(bytes));
  const bool fits = value.size() <= kSubjectBytesMax;
  if (fits) {
    out += '/';
    append_name(X509_NAME_ENTRY_get_object(entry), out);
    out += '=';
    append_escaped(value, out);
  }
  OPENSSL_free(text);
  return fits && out.size() <= kSubjectBytesMax;
}

}  // namespace

std::optional<std::string> subject_of(const X509* certificate) {
  const X509_NAME* const name = X509_get_subject_name(certificate);
  std::string out;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    if (!append_entry(X509_NAME_get_entry(name, i), out)) return std::nullopt;
  }
  return out;
}

std::string pem_of(X509* certificate) {
  BIO* const memory = BIO_new(BIO_s_mem());
  std::string out;
  char* text = nullptr;
  if (memory != nullptr && PEM_write_bio_X509(memory, certificate) == 1) {
    const long bytes = BIO_get_mem_data(memory, &text);
    out.assign(text, static_cast<std::size_t>(bytes));
  }
  BIO_free(memory);
  return out;
}

std::string der_of(const X509* certificate) {
  unsigned char* bytes = nullptr;
  const int count = i2d_X509(certificate, &bytes);
  if (count <= 0) return {};
  std::string out(reinterpret_cast<const char*>(bytes),
                  static_cast<std::size_t>(count));
  OPENSSL_free(bytes);
  return out;
}

}  // namespace fealty::sni
