// SQLite with its handles owned and its errors as ours.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace qad {

class SqliteStatement;

class SqliteDatabase {
 public:
  // ":memory:" or a file opened read-only. `where` begins every message. Errors (kInput).
  static SqliteDatabase InMemory();
  static SqliteDatabase OpenReadOnly(const std::string& path);

  void Run(const std::string& sql);
  SqliteStatement Prepare(const std::string& sql) const;
  // The bytes of the file this database would be.
  std::string Serialize() const;
  const std::string& where() const { return where_; }
  [[noreturn]] void FailWith(int code) const;

 private:
  SqliteDatabase(const std::string& path, int flags, std::string where);
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
  std::string where_;
};

// Columns and parameters count from 0.
class SqliteStatement {
 public:
  SqliteStatement(const SqliteDatabase& database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  void Bind(int parameter, std::string_view text);
  void Bind(int parameter, int64_t value);
  void BindBlob(int parameter, std::string_view bytes);
  bool Step();  // whether there is a row
  void Reset();
  std::string Text(int column) const;
  std::string_view Blob(int column) const;  // valid until the next Step or Reset
  int64_t Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  double Number(int column) const { return sqlite3_column_double(statement_.get(), column); }

 private:
  void Check(int code) const;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  const SqliteDatabase& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace qad
