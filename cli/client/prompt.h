#pragma once

#include <string>

#include "cli/client/problem.h"

namespace fealty::cli {

inline constexpr std::size_t kTypedBytesMax = 1024;

// Asks the person at the terminal, without echo where it is a secret. The
// terminal is as it was however this ends, by a signal too. Fails where there is
// no terminal.
enum class Echo : bool { kNo, kYes };
[[nodiscard]] Result<std::string, Problem> ask(const std::string& question,
                                               Echo echo);

// A secret, asked twice.
[[nodiscard]] Result<std::string, Problem> ask_new_secret(
    const std::string& what);

// What stdin holds, or its first line: at most so many bytes.
enum class Until : bool { kEnd, kLine };
[[nodiscard]] Result<std::string, Problem> read_stdin(std::size_t bytes_max,
                                                      Until until = Until::kEnd);
// The first line of what stdin holds, for programs.
[[nodiscard]] Result<std::string, Problem> read_secret_from_stdin();
// The first line of a file that nobody else may read.
[[nodiscard]] Result<std::string, Problem> read_secret_from(
    const std::string& path);

}  // namespace fealty::cli
