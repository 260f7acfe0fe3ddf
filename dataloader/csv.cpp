#include "dataloader/csv.h"

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, const std::string& name) : text_(text), name_(name) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  }

  std::vector<CsvRow> rows() {
    std::vector<CsvRow> rows;
    while (!text_.empty()) {
      if (take_line_end()) continue;
      CsvRow row{line_, {}};
      do {
        row.fields.push_back(text_.starts_with('"') ? quoted_field() : plain_field());
      } while (take(","));
      rows.push_back(std::move(row));
      if (!text_.empty() && !take_line_end()) {
        throw DataError("{}:{}: text after a closing quote; expected a comma or the line's end",
                        name_, line_);
      }
    }
    return rows;
  }

 private:
  bool take(std::string_view what) {
    if (!text_.starts_with(what)) return false;
    text_.remove_prefix(what.size());
    return true;
  }

  bool take_line_end() {
    if (!take("\r\n") && !take("\n")) return false;
    ++line_;
    return true;
  }

  std::string plain_field() {
    std::size_t size = 0;
    while (size < text_.size() && text_[size] != ',' && text_[size] != '\n') ++size;
    const bool ends_line = size < text_.size() && text_[size] == '\n';
    if (ends_line && size > 0 && text_[size - 1] == '\r') --size;
    std::string field(text_.substr(0, size));
    text_.remove_prefix(size);
    return field;
  }

  std::string quoted_field() {
    const std::size_t opened = line_;
    take("\"");
    std::string field;
    while (!text_.empty()) {
      if (take("\"\"")) {
        field += '"';
      } else if (take("\"")) {
        return field;
      } else {
        if (text_.front() == '\n') ++line_;
        field += text_.front();
        text_.remove_prefix(1);
      }
    }
    throw DataError("{}:{}: a quote that is never closed", name_, opened);
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> parse_csv(std::string_view text, const std::string& name) {
  return CsvParser(text, name).rows();
}

}  // namespace crescendo::dataloader
