#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "dataloader/sample_reader.h"
#include "pipelines/shards/pack.h"

namespace crescendo::pipelines {

/// The samples to pack, undecoded, in their order: a function of the source and the seed.
class PackSource {
 public:
  virtual ~PackSource() = default;

  /// The next sample, of a key of its own; one that cannot be read has a defect. Nothing at the
  /// end. Throws DataError when a tar is damaged.
  virtual std::optional<dataloader::RawSample> next() = 0;

  /// Passes over so many.
  virtual void skip(std::uint64_t count) = 0;
};

/// A source with what is to be said of it.
struct PackInput {
  std::string layout;                    ///< "captioned folder", "metadata", ...
  std::string description;               ///< for the user: how much of what
  std::uint64_t fingerprint = 0;         ///< of the listing: names, sizes, times, captions, labels
  std::uint64_t size = 0;                ///< samples; 0: not known
  std::vector<std::string> class_names;  ///< in the order of their numbers
  std::unique_ptr<PackSource> samples;
};

/// Lists what the request names. Warns of what is passed over. Throws UserError.
PackInput open_pack_input(const PackRequest& request);

PackInput open_pack_folder(const PackRequest& request);
/// `shards` are plain tars; all are indexed first.
PackInput open_pack_tars(const PackRequest& request, const std::vector<std::string>& shards);
/// `shards` are tars, compressed or not, or commands that put one out; read in order, each once.
PackInput open_pack_stream(const PackRequest& request, const std::vector<std::string>& shards);

/// Gives a key that came before a number: `a`, `a-2`, `a-3`.
class UniqueKeys {
 public:
  std::string make_unique(const std::string& key);

 private:
  std::unordered_set<std::string> keys_;
  std::uint64_t repeated_ = 0;
};

/// "3 THINGS:" and the first few of them, as warnings; nothing when there are none.
void warn_of(const std::vector<std::string>& names, std::string_view things);

}  // namespace crescendo::pipelines
