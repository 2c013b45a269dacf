#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fealty::cli {

// Text that others wrote, as a terminal or a line of a file may have it. Pure.

// UTF-8 stays as it is. What would move the cursor, hide or turn text around or
// end a line or a column is written out: \n, \t, \\, \x1b, \u{202e}; bytes that
// are no UTF-8 as \xNN. From the outcome the text can be had back.
[[nodiscard]] std::string visible(std::string_view text);

[[nodiscard]] bool is_utf8(std::string_view text);

// How many columns of a terminal visible text takes: wide characters two,
// combining ones none.
[[nodiscard]] std::size_t width_of(std::string_view text);

// Visible text, with blanks up to `width` columns.
[[nodiscard]] std::string padded(std::string text, std::size_t width);

// The same for JSON that is written already: controls and what turns text around
// become \u escapes, which mean the same.
[[nodiscard]] std::string visible_json(std::string_view json);

}  // namespace fealty::cli
