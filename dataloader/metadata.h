#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::dataloader {

/// What a metadata file tells of one image.
struct MetadataRow {
  std::size_t line = 0;
  std::string file_name;               ///< relative to the folder of the metadata file
  std::optional<std::string> caption;  ///< as it stands there
  std::optional<std::string> label;    ///< a number or a name
  std::string json;                    ///< an object of the other columns; "" when there are none
};

/// Reads the metadata.jsonl or metadata.csv of Hugging Face's imagefolder: `file_name`; the caption
/// in `caption_column`, or, when that is "", in `text` or else `caption`; `label`; whatever else.
/// Throws DataError, naming file and line, for what is malformed and for a missing column.
std::vector<MetadataRow> read_metadata(const std::filesystem::path& file,
                                       const std::string& caption_column);

/// The same from memory; `name` stands for the file in errors.
std::vector<MetadataRow> parse_metadata_jsonl(std::string_view text, const std::string& name,
                                              const std::string& caption_column);
std::vector<MetadataRow> parse_metadata_csv(std::string_view text, const std::string& name,
                                            const std::string& caption_column);

}  // namespace crescendo::dataloader
