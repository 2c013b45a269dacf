#define OPENSSL_SUPPRESS_DEPRECATED
#include "sni/ec_key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include <array>
#include <memory>

#include "base/check.h"

namespace fealty::sni {
namespace {

struct CurveFacts {
  int nid;
  std::size_t scalar_bytes;
};
constexpr std::array<CurveFacts, 3> kCurves = {{{NID_X9_62_prime256v1, 32},
                                                {NID_secp384r1, 48},
                                                {NID_secp521r1, 66}}};

using EcKeyPtr = OpensslPtr<EC_KEY, EC_KEY_free>;
using GroupPtr = OpensslPtr<EC_GROUP, EC_GROUP_free>;
using PointPtr = OpensslPtr<EC_POINT, EC_POINT_free>;

const CurveFacts& facts_of(Curve curve) {
  return kCurves[static_cast<std::size_t>(curve)];
}

// Made once: that is most of what a key costs.
const EC_GROUP* group_of(Curve curve) {
  static const std::array<GroupPtr, kCurves.size()> groups = [] {
    std::array<GroupPtr, kCurves.size()> made;
    for (std::size_t i = 0; i < made.size(); ++i) {
      made[i].reset(EC_GROUP_new_by_curve_name(kCurves[i].nid));
      FEALTY_CHECK(made[i] != nullptr);
    }
    return made;
  }();
  return groups[static_cast<std::size_t>(curve)].get();
}

const EC_KEY_METHOD* own_method() {
  static const EC_KEY_METHOD* const method =
      EC_KEY_METHOD_new(EC_KEY_OpenSSL());
  FEALTY_CHECK(method != nullptr);
  return method;
}

bool fill(EC_KEY* key, Curve curve, std::span<const unsigned char> scalar,
          std::span<const unsigned char> point) {
  const BignumPtr number(
      BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), nullptr));
  return number != nullptr && EC_KEY_set_group(key, group_of(curve)) == 1 &&
         EC_KEY_oct2key(key, point.data(), point.size(), nullptr) == 1 &&
         EC_KEY_set_private_key(key, number.get()) == 1 &&
         EC_KEY_set_method(key, own_method()) == 1;
}

}  // namespace

std::optional<Curve> curve_of(int nid) {
  for (std::size_t i = 0; i < kCurves.size(); ++i) {
    if (kCurves[i].nid == nid) return static_cast<Curve>(i);
  }
  return std::nullopt;
}

bool parse_scalar(std::span<const unsigned char> der, Curve curve,
                  SecretBytes& scalar) {
  const unsigned char* at = der.data();
  // Without decoders, OpenSSL falls back to its older and quicker parser.
  const KeyPtr key(d2i_AutoPrivateKey_ex(
      nullptr, &at, static_cast<long>(der.size()), bare_library(), nullptr));
  const EC_KEY* const ec =
      key == nullptr || at != der.data() + der.size()
          ? nullptr
          : EVP_PKEY_get0_EC_KEY(key.get());
  ERR_clear_error();
  if (ec == nullptr || EC_KEY_get0_private_key(ec) == nullptr) return false;
  const CurveFacts& facts = facts_of(curve);
  if (EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) != facts.nid) return false;
  SecretBytes bytes(facts.scalar_bytes);
  const int count =
      BN_bn2binpad(EC_KEY_get0_private_key(ec), bytes.data(),
                   static_cast<int>(facts.scalar_bytes));
  bytes.resize(facts.scalar_bytes);
  scalar = std::move(bytes);
  return count == static_cast<int>(facts.scalar_bytes);
}

KeyPtr make_ec_key(Curve curve, std::span<const unsigned char> scalar,
                   std::span<const unsigned char> point) {
  EcKeyPtr ec(EC_KEY_new());
  KeyPtr key(EVP_PKEY_new());
  const bool made = ec != nullptr && key != nullptr &&
                    fill(ec.get(), curve, scalar, point) &&
                    EVP_PKEY_assign_EC_KEY(key.get(), ec.get()) == 1;
  if (!made) {
    ERR_clear_error();
    return nullptr;
  }
  (void)ec.release();
  return key;
}

bool is_key_pair(const KeyPtr& key) {
  const EC_KEY* const ec = EVP_PKEY_get0_EC_KEY(key.get());
  if (ec == nullptr) return false;
  const EC_GROUP* const group = EC_KEY_get0_group(ec);
  const PointPtr product(EC_POINT_new(group));
  return product != nullptr &&
         EC_POINT_mul(group, product.get(), EC_KEY_get0_private_key(ec),
                      nullptr, nullptr, nullptr) == 1 &&
         EC_POINT_cmp(group, product.get(), EC_KEY_get0_public_key(ec),
                      nullptr) == 0;
}

OSSL_LIB_CTX* bare_library() {
  static OSSL_LIB_CTX* const library = [] {
    OSSL_LIB_CTX* const made = OSSL_LIB_CTX_new();
    FEALTY_CHECK(made != nullptr);
    FEALTY_CHECK(OSSL_PROVIDER_load(made, "null") != nullptr);
    return made;
  }();
  return library;
}

}  // namespace fealty::sni
