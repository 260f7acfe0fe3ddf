#include "dataloader/metadata.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"
#include "dataloader/csv.h"

namespace crescendo::dataloader {

using Json = nlohmann::ordered_json;

namespace {

constexpr int kMaxDepth = 64;

void require_utf8(std::string_view text, const std::string& name) {
  std::size_t line = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    if (!is_utf8(text.substr(0, end))) throw DataError("{}:{}: not UTF-8", name, line);
    text.remove_prefix(end);
    ++line;
  }
}

/// Text and numbers as text; nothing for null.
std::optional<std::string> text_of(const Json& value, std::string_view column,
                                   const std::string& where) {
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  throw DataError("{}: the field '{}' is no text; found {}", where, column, value.type_name());
}

/// Which columns hold the caption, the wanted one first.
std::vector<std::string> caption_columns(const std::string& wanted) {
  if (!wanted.empty()) return {wanted};
  return {"text", "caption"};
}

MetadataRow row_of(Json object, std::size_t line, const std::string& name,
                   const std::string& caption_column) {
  const std::string where = fmt::format("{}:{}", name, line);
  MetadataRow row;
  row.line = line;
  row.file_name = text_of(object["file_name"], "file_name", where).value_or("");
  if (row.file_name.empty()) throw DataError("{}: the field 'file_name' is empty", where);
  object.erase("file_name");
  const auto take = [&](const std::string& column, std::optional<std::string>& target) {
    if (!object.contains(column)) return false;
    target = text_of(object[column], column, where);
    object.erase(column);
    return true;
  };
  for (const std::string& column : caption_columns(caption_column)) {
    if (take(column, row.caption)) break;
  }
  take("label", row.label);
  if (!object.empty()) row.json = object.dump();
  return row;
}

[[noreturn]] void fail_without_column(const std::string& where, std::string_view column,
                                      const std::vector<std::string>& found) {
  throw DataError("{}: no column '{}'; expected it, found {}", where, column,
                  fmt::join(found, ", "));
}

Json parse_line(std::string_view line, const std::string& where) {
  const auto limit_depth = [&](int depth, Json::parse_event_t, const Json&) {
    if (depth > kMaxDepth) throw DataError("{}: nested deeper than {}", where, kMaxDepth);
    return true;
  };
  Json object = Json::parse(line, limit_depth, false);
  if (!object.is_object()) {
    throw DataError(R"({}: not a JSON object; expected {{"file_name": ..., "text": ...}})", where);
  }
  return object;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

}  // namespace

std::vector<MetadataRow> parse_metadata_jsonl(std::string_view text, const std::string& name,
                                              const std::string& caption_column) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  require_utf8(text, name);
  std::vector<MetadataRow> rows;
  std::set<std::string> columns;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const std::string where = fmt::format("{}:{}", name, number);
    Json object = parse_line(line, where);
    const std::vector<std::string> keys = keys_of(object);
    if (!object.contains("file_name")) fail_without_column(where, "file_name", keys);
    columns.insert(keys.begin(), keys.end());
    rows.push_back(row_of(std::move(object), number, name, caption_column));
  }
  if (!rows.empty() && !caption_column.empty() && !columns.contains(caption_column)) {
    fail_without_column(name, caption_column, {columns.begin(), columns.end()});
  }
  return rows;
}

std::vector<MetadataRow> parse_metadata_csv(std::string_view text, const std::string& name,
                                            const std::string& caption_column) {
  require_utf8(text, name);
  const std::vector<CsvRow> lines = parse_csv(text, name);
  if (lines.empty()) return {};
  const std::vector<std::string>& header = lines[0].fields;
  const std::string where = fmt::format("{}:{}", name, lines[0].line);
  const auto has = [&](const std::string& column) {
    return std::ranges::find(header, column) != header.end();
  };
  if (!has("file_name")) fail_without_column(where, "file_name", header);
  if (!caption_column.empty() && !has(caption_column)) {
    fail_without_column(where, caption_column, header);
  }
  if (std::set<std::string>(header.begin(), header.end()).size() != header.size()) {
    throw DataError("{}: two columns of one name; found {}", where, fmt::join(header, ", "));
  }
  std::vector<MetadataRow> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string>& fields = lines[i].fields;
    if (fields.size() != header.size()) {
      throw DataError("{}:{}: expected {} fields as in the first line, found {}", name,
                      lines[i].line, header.size(), fields.size());
    }
    Json object = Json::object();
    for (std::size_t c = 0; c < header.size(); ++c) object[header[c]] = fields[c];
    rows.push_back(row_of(std::move(object), lines[i].line, name, caption_column));
  }
  return rows;
}

std::vector<MetadataRow> read_metadata(const std::filesystem::path& file,
                                       const std::string& caption_column) {
  const std::string text = read_file(file);
  return file.extension() == ".csv" ? parse_metadata_csv(text, file.string(), caption_column)
                                    : parse_metadata_jsonl(text, file.string(), caption_column);
}

}  // namespace crescendo::dataloader
