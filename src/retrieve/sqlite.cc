#include "retrieve/sqlite.h"

#include <utility>

#include "base/error.h"

namespace qad {

SqliteDatabase::SqliteDatabase(const std::string& path, int flags, std::string where) : where_(std::move(where)) {
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  database_.reset(database);
  if (code != SQLITE_OK) FailWith(code);
}

SqliteDatabase SqliteDatabase::InMemory() { return {":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "index"}; }

SqliteDatabase SqliteDatabase::OpenReadOnly(const std::string& path) { return {path, SQLITE_OPEN_READONLY, path}; }

void SqliteDatabase::FailWith(int code) const {
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_CANTOPEN)
    FailInput("{}: is not an index ({}); make it with `qad index`", where_, sqlite3_errstr(code));
  FailInput("{}: SQLite: {}", where_, database_ ? sqlite3_errmsg(database_.get()) : sqlite3_errstr(code));
}

void SqliteDatabase::Run(const std::string& sql) {
  if (const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK)
    FailWith(code);
}

SqliteStatement SqliteDatabase::Prepare(const std::string& sql) const {
  sqlite3_stmt* statement = nullptr;
  if (const int code = sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &statement, nullptr); code != SQLITE_OK)
    FailWith(code);
  return {*this, statement};
}

std::string SqliteDatabase::Serialize() const {
  sqlite3_int64 size = 0;
  unsigned char* bytes = sqlite3_serialize(database_.get(), "main", &size, 0);
  if (bytes == nullptr) Fail(ErrorKind::kFailed, "{}: out of memory", where_);
  std::string out(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  sqlite3_free(bytes);
  return out;
}

void SqliteStatement::Check(int code) const {
  if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) database_.FailWith(code);
}

// SQLite copies the text (SQLITE_TRANSIENT); a null pointer would bind NULL where an empty text is meant.
void SqliteStatement::Bind(int parameter, std::string_view text) {
  Check(sqlite3_bind_text64(statement_.get(), parameter + 1, text.data() == nullptr ? "" : text.data(), text.size(),
                            SQLITE_TRANSIENT, SQLITE_UTF8));
}

void SqliteStatement::Bind(int parameter, int64_t value) {
  Check(sqlite3_bind_int64(statement_.get(), parameter + 1, value));
}

void SqliteStatement::BindBlob(int parameter, std::string_view bytes) {
  Check(sqlite3_bind_blob64(statement_.get(), parameter + 1, bytes.data() == nullptr ? "" : bytes.data(), bytes.size(),
                            SQLITE_TRANSIENT));
}

bool SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  Check(code);
  return code == SQLITE_ROW;
}

void SqliteStatement::Reset() { Check(sqlite3_reset(statement_.get())); }

std::string_view SqliteStatement::Blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::string SqliteStatement::Text(int column) const {
  const auto* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return "";
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

}  // namespace qad
