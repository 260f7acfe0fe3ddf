#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace crescendo::dataloader {

/// A member of a sample to be written.
struct MemberView {
  std::string_view suffix;
  std::span<const std::byte> bytes;
};

/// Writes samples into tar shards FOLDER/000000.tar, 000001.tar, ... (with a prefix:
/// PREFIX-000000.tar) that webdataset reads. Equal samples give equal bytes: no times, no owners;
/// ustar, with a PAX header only where a name needs one. Each shard is whole or absent; a shard
/// that is not finished leaves nothing. Beside each lies its index (shard_index.h).
class ShardWriter {
 public:
  struct Options {
    std::filesystem::path folder;
    std::string prefix{};
    std::size_t max_samples = 10'000;         ///< a shard
    std::uint64_t max_bytes = 1'000'000'000;  ///< a shard, about; one sample may be larger
    /// So many shards are there already and stay; whatever has the names of later ones is replaced.
    std::optional<std::size_t> complete_shards{};
  };

  /// Throws UserError when the folder already holds shards of that name, unless they are told of.
  explicit ShardWriter(Options options);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// Why write() would refuse the sample, or nothing: a key or suffix that would not be read back
  /// as it is (a dot in the last part of the key, an upper-case suffix, ...), a key written before.
  std::optional<std::string> problem_with(const std::string& key,
                                          std::span<const MemberView> members) const;

  /// Throws UserError for a sample that has a problem.
  void write(const std::string& key, std::span<const MemberView> members);

  /// Completes the last shard. Without this call the samples since the last full shard are lost.
  void finish();

  /// The complete shards, in order, those that were there already among them.
  const std::vector<std::filesystem::path>& shards() const { return shards_; }

 private:
  class OpenShard;

  std::filesystem::path shard_path(std::size_t number) const;

  Options options_;
  std::unique_ptr<OpenShard> shard_;
  std::vector<std::filesystem::path> shards_;
  std::unordered_set<std::string> keys_;
};

}  // namespace crescendo::dataloader
