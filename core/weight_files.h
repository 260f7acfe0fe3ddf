#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/safetensors.h"

namespace crescendo {

/// The weights of a model: one safetensors file, or the shards that an index of the Hugging Face
/// layout names (`NAME.safetensors.index.json`). Headers are read at once, tensors when asked for.
class WeightFiles {
 public:
  struct Tensor {
    std::shared_ptr<const SafetensorsFile> file;
    const SafetensorsEntry* entry;

    std::span<const std::byte> bytes() const { return file->bytes(*entry); }
    void release() const { file->release(*entry); }  ///< see MappedFile::release
  };

  /// `path` is a safetensors file or an index. Throws UserError when a shard is missing, DataError
  /// for a malformed file, or an index that does not fit its shards.
  explicit WeightFiles(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }
  std::vector<std::filesystem::path> paths() const;  ///< of every file, the index among them
  bool contain(const std::string& name) const { return tensors_.contains(name); }

  /// Throws DataError when the configuration `config` asks for more parameters than there are
  /// here, so that a false one cannot ask for more memory than the weights take.
  void require_parameters(std::int64_t count, const std::string& config) const;

 private:
  void open(const std::filesystem::path& file);
  void open_shards();

  std::filesystem::path path_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::map<std::string, Tensor> tensors_;
};

/// The weights in a component's folder: `diffusion_pytorch_model` (diffusers) or `model`
/// (transformers), as one file or an index. Where there is none in full, the variants `fp32`,
/// `bf16` and `fp16` are looked for. Throws UserError when nothing is there, with a hint when only
/// a pickle is.
std::filesystem::path weights_file_in(const std::filesystem::path& folder);

}  // namespace crescendo
