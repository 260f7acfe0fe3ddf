#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/core/temporary_folder.h"

namespace crescendo::e2e {

// What the tests work with: a few synthetic pictures with captions and classes, packed into shards,
// and the smallest models that have every part.

constexpr int kGroups = 3;
constexpr int kPicturesPerGroup = 8;

/// The classes, in the order of their numbers.
const std::vector<std::string>& group_names();

/// FOLDER/GROUP/NAME.png with NAME.txt beside it.
void make_pictures(const std::filesystem::path& folder);

/// A picture that differs from that of every other number.
void make_picture(const std::filesystem::path& file, int number, std::int64_t width = 24,
                  std::int64_t height = 20);

/// Packs 33 pictures of five aspect ratios with captions and classes below `folder`, unless they
/// are there; returns the glob of their shards, which are indexed.
std::string pack_mixed_shapes(const std::filesystem::path& folder);

/// Overrides for the configs below, to train on them in buckets.
std::vector<std::string> bucketed(const std::string& shards);

/// Made once a process, by the binary itself.
struct Workshop {
  TemporaryFolder folder;
  std::string shards;         ///< a glob
  std::filesystem::path vae;  ///< run folder with model/, of 2x2 pixels to a position, 4 channels
  Workshop();
};
const Workshop& workshop();

/// A BERT of 16 channels.
std::filesystem::path text_encoder_folder();

/// Writes a config for `train-vae`: 16x16 pixels, 3 steps.
void write_vae_config(const std::filesystem::path& file, const std::filesystem::path& run,
                      const std::string& shards);

/// Writes a config for `train` with `conditioning` none, class or text: 16x16 pixels, 6 steps.
void write_train_config(const std::filesystem::path& file, const std::filesystem::path& run,
                        const std::string& conditioning);

/// `arguments` with `--set x` for each of `overrides`.
std::vector<std::string> with_overrides(std::vector<std::string> arguments,
                                        const std::vector<std::string>& overrides);

}  // namespace crescendo::e2e
