#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::dataloader {

struct CsvRow {
  std::size_t line = 0;  ///< where it begins, from 1
  std::vector<std::string> fields;
};

/// The rows of a comma-separated file (RFC 4180): quoted fields hold commas, line ends and doubled
/// quotes; lines end in CRLF or LF. A byte order mark and empty lines are passed over. Throws
/// DataError, naming `name` and the line, for a quote that is never closed or is followed by text.
std::vector<CsvRow> parse_csv(std::string_view text, const std::string& name);

}  // namespace crescendo::dataloader
