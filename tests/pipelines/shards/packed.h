#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "dataloader/sample_reader.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::pipelines {

using Members = std::map<std::string, std::string>;

/// The samples of shards, by key and suffix.
inline std::map<std::string, Members> samples_of(const std::vector<std::filesystem::path>& shards) {
  std::map<std::string, Members> samples;
  for (const std::filesystem::path& shard : shards) {
    dataloader::TarReader archive(shard);
    dataloader::SampleReader reader(archive, 1 << 30);
    while (const auto sample = reader.next()) {
      for (const dataloader::RawMember& member : sample->members) {
        samples[sample->key][member.suffix] = dataloader::text_of(member.bytes);
      }
    }
  }
  return samples;
}

/// The keys of shards in their order.
inline std::vector<std::string> keys_of(const std::vector<std::filesystem::path>& shards) {
  std::vector<std::string> keys;
  for (const std::filesystem::path& shard : shards) {
    dataloader::TarReader archive(shard);
    dataloader::SampleReader reader(archive, 1 << 30);
    while (const auto sample = reader.next()) keys.push_back(sample->key);
  }
  return keys;
}

/// Every file of a folder, by name.
inline std::map<std::string, std::string> files_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files[entry.path().filename().string()] = read_file(entry.path());
  }
  return files;
}

}  // namespace crescendo::pipelines
