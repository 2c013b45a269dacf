#include <soci/soci.h>

#include <algorithm>
#include <charconv>
#include <deque>

#include "api/database.h"
#include "base/check.h"

namespace fealty::api {
namespace {

constexpr std::size_t kBatch = 128;   // rows fetched at a time

// Question marks become the names that SOCI wants.
std::string numbered(std::string_view sql) {
  std::string out;
  int number = 0;
  for (const char c : sql) {
    if (c == '?') {
      out += ":p" + std::to_string(++number);
    } else {
      out += c;
    }
  }
  return out;
}

// The names of a list of columns.
std::vector<std::string> names_of(std::string_view columns) {
  std::vector<std::string> names(1);
  int depth = 0;
  for (const char c : columns) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (depth == 0 && c == ',') {
      names.emplace_back();
    } else if (depth == 0 && (c == ' ' || c == '.')) {
      names.back().clear();
    } else {
      names.back() += c;
    }
  }
  return names;
}

// A statement's values, in places that do not move while it runs.
class Bound {
 public:
  Bound(soci::statement& statement, const Values& values) {
    for (const Value& value : values) bind(statement, value);
  }

 private:
  void bind(soci::statement& statement, const Value& value) {
    if (const auto* const number = std::get_if<std::int64_t>(&value)) {
      numbers_.push_back(*number);
      statement.exchange(soci::use(numbers_.back()));
      return;
    }
    const auto* const text = std::get_if<std::string>(&value);
    texts_.push_back(text == nullptr ? std::string() : *text);
    indicators_.push_back(text == nullptr ? soci::i_null : soci::i_ok);
    statement.exchange(soci::use(texts_.back(), indicators_.back()));
  }

  std::deque<long long> numbers_;
  std::deque<std::string> texts_;
  std::deque<soci::indicator> indicators_;
};

std::int64_t to_integer(std::string_view digits) {
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

struct Column {
  std::vector<std::string> texts = std::vector<std::string>(kBatch);
  std::vector<soci::indicator> indicators =
      std::vector<soci::indicator>(kBatch);
};

void prepare(soci::statement& statement, std::string_view sql) {
  statement.alloc();
  statement.prepare(numbered(sql), soci::details::st_one_time_query);
  statement.define_and_bind();
}

// A batch of rows as SOCI fetched it, each column a vector.
class Batch final : public RowView {
 public:
  Batch(soci::statement& statement, std::size_t columns) : columns_(columns) {
    for (Column& column : columns_) {
      statement.exchange(soci::into(column.texts, column.indicators));
    }
  }

  [[nodiscard]] std::size_t rows() const { return columns_.front().texts.size(); }
  void look_at(std::size_t row) { row_ = row; }
  // Moved out: the row has it no more.
  [[nodiscard]] std::string take(std::size_t column) {
    return std::move(columns_[column].texts[row_]);
  }

  [[nodiscard]] bool is_null(std::size_t column) const override {
    return columns_[column].indicators[row_] == soci::i_null;
  }
  [[nodiscard]] std::string_view text(std::size_t column) const override {
    return is_null(column) ? std::string_view{} : columns_[column].texts[row_];
  }
  [[nodiscard]] std::int64_t integer(std::size_t column) const override {
    return to_integer(text(column));
  }

 private:
  std::deque<Column> columns_;
  std::size_t row_ = 0;
};

// Shows every row to `visit`, until that returns false.
template <typename Visit>
void fetch(soci::session& session, std::size_t columns, std::string_view sql,
           const Values& values, Visit visit) {
  soci::statement statement(session);
  Batch batch(statement, columns);
  const Bound bound(statement, values);
  prepare(statement, sql);
  for (bool more = statement.execute(true); more; more = statement.fetch()) {
    for (std::size_t i = 0; i < batch.rows(); ++i) {
      batch.look_at(i);
      if (!visit(batch)) return;
    }
    if (batch.rows() < kBatch) break;
  }
}

std::string select_of(std::string_view columns, std::string_view rest) {
  std::string sql = "SELECT ";
  sql.append(columns).append(" ").append(rest);
  return sql;
}

}  // namespace

const std::optional<std::string>& Row::at(std::string_view name) const {
  const auto found = std::find(names_->begin(), names_->end(), name);
  FEALTY_CHECK(found != names_->end());
  return values_[static_cast<std::size_t>(found - names_->begin())];
}

bool Row::is_null(std::string_view name) const { return !at(name); }

const std::string& Row::text(std::string_view name) const {
  static const std::string empty;
  const auto& value = at(name);
  return value ? *value : empty;
}

std::int64_t Row::integer(std::string_view name) const {
  return to_integer(text(name));
}

Json Row::text_or_null(std::string_view name) const {
  const auto& value = at(name);
  return value ? Json(*value) : Json(nullptr);
}

Json Row::integer_or_null(std::string_view name) const {
  return is_null(name) ? Json(nullptr) : Json(integer(name));
}

Rows Transaction::select(std::string_view columns, std::string_view rest,
                         const Values& values) {
  const auto names =
      std::make_shared<const std::vector<std::string>>(names_of(columns));
  Rows rows;
  fetch(session_, names->size(), select_of(columns, rest), values,
        [&](Batch& batch) {
          std::vector<std::optional<std::string>> row(names->size());
          for (std::size_t k = 0; k < row.size(); ++k) {
            if (!batch.is_null(k)) row[k] = batch.take(k);
          }
          rows.emplace_back(names, std::move(row));
          return true;
        });
  return rows;
}

void Transaction::each(std::string_view columns, std::string_view rest,
                       const Values& values,
                       const std::function<bool(const RowView&)>& visit) {
  fetch(session_, names_of(columns).size(), select_of(columns, rest), values,
        visit);
}

std::optional<Row> Transaction::one(std::string_view columns,
                                    std::string_view rest,
                                    const Values& values) {
  Rows rows = select(columns, rest, values);
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

bool Transaction::exists(std::string_view rest, const Values& values) {
  return one("1 AS found", std::string(rest) + " LIMIT 1", values).has_value();
}

void Transaction::run(std::string_view sql, const Values& values) {
  soci::statement statement(session_);
  const Bound bound(statement, values);
  prepare(statement, sql);
  statement.execute(true);
}

std::int64_t Transaction::insert(std::string_view table,
                                 const Fields& fields) {
  std::string names;
  std::string marks;
  Values values;
  for (const auto& [name, value] : fields) {
    names += (names.empty() ? "" : ", ") + name;
    marks += marks.empty() ? "?" : ", ?";
    values.push_back(value);
  }
  const std::string sql = "INSERT INTO " + std::string(table) + " (" + names +
                          ") VALUES (" + marks + ") RETURNING id";
  std::int64_t id = 0;
  fetch(session_, 1, sql, values, [&](const Batch& row) {
    id = row.integer(0);
    return true;
  });
  FEALTY_CHECK(id != 0);
  return id;
}

void Transaction::update(std::string_view table, std::int64_t id,
                         const Fields& fields) {
  if (fields.empty()) return;
  std::string names;
  Values values;
  for (const auto& [name, value] : fields) {
    names += (names.empty() ? "" : ", ") + name + " = ?";
    values.push_back(value);
  }
  values.emplace_back(id);
  run("UPDATE " + std::string(table) + " SET " + names + " WHERE id = ?",
      values);
}

void Transaction::remove(std::string_view table, std::int64_t id) {
  run("DELETE FROM " + std::string(table) + " WHERE id = ?", {id});
}

}  // namespace fealty::api
