#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

namespace fealty::test {

// Random input for a test. The seed is printed; FEALTY_SEED repeats a run.
class Random {
 public:
  Random() : Random(first_seed()) { std::printf("seed %u\n", seed_); }
  explicit Random(unsigned seed) : seed_(seed), engine_(seed) {}

  // 0 to most - 1.
  std::size_t below(std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most - 1)(engine_);
  }
  bool one_in(std::size_t n) { return below(n) == 0; }
  char of(std::string_view alphabet) {
    return alphabet[below(alphabet.size())];
  }
  std::string text(std::size_t bytes, std::string_view alphabet) {
    std::string made(bytes, '\0');
    for (char& c : made) c = of(alphabet);
    return made;
  }
  std::string bytes(std::size_t count) {
    std::string made(count, '\0');
    for (char& c : made) c = static_cast<char>(below(256));
    return made;
  }

 private:
  static unsigned first_seed() {
    const char* const given = std::getenv("FEALTY_SEED");
    return given != nullptr ? static_cast<unsigned>(std::atoi(given))
                            : std::random_device{}();
  }

  unsigned seed_;
  std::mt19937 engine_;
};

}  // namespace fealty::test
