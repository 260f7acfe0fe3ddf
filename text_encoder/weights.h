#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

namespace crescendo::text_encoder {

/// What a safetensors file holds, by its header alone: known before a model is allocated.
class WeightNames {
 public:
  explicit WeightNames(std::filesystem::path file);

  const std::filesystem::path& file() const { return file_; }
  bool contain(const std::string& name) const { return names_.contains(name); }

  /// Throws DataError when the configuration `config` asks for more parameters than there are in
  /// the file, so that a false one cannot ask for more memory than the weights take.
  void require_parameters(std::int64_t count, const std::string& config) const;

 private:
  std::filesystem::path file_;
  std::set<std::string> names_;
  std::int64_t elements_ = 0;
};

}  // namespace crescendo::text_encoder
