#include "pipelines/shards/pack.h"

#include <algorithm>
#include <optional>
#include <thread>

#include <fmt/ranges.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "dataloader/ordered_pool.h"
#include "dataloader/shard_writer.h"
#include "pipelines/shards/pack_images.h"
#include "pipelines/shards/pack_manifest.h"
#include "pipelines/shards/pack_source.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using dataloader::RawSample;

namespace {

constexpr std::uint64_t kNamed = 20;

/// All that the bytes of the shards depend on.
nlohmann::ordered_json job_of(const PackRequest& request, const PackInput& input) {
  std::vector<std::string> sources;
  for (const std::string& source : request.sources) {
    sources.push_back(fs::absolute(source).lexically_normal().string());
  }
  return {{"source", sources},
          {"layout", input.layout},
          {"caption_extension", request.caption_extension},
          {"caption_column", request.caption_column},
          {"max_samples", request.max_samples},
          {"max_bytes", request.max_bytes},
          {"seed", request.seed},
          {"shuffle_buffer", request.shuffle_buffer},
          {"resize", request.resize},
          {"verify", request.verify},
          {"listing", fmt::format("{:016x}", input.fingerprint)}};
}

/// The manifest to go on from: that of the folder, if the pack is to be resumed, or a new one.
PackManifest begin_manifest(const PackRequest& request, const PackInput& input) {
  const nlohmann::ordered_json job = job_of(request, input);
  std::optional<PackManifest> old = read_manifest(request.output);
  if (old && request.resume) {
    require_resumable(request.output, *old, job);
    return *old;
  }
  if (old && !old->complete && fs::exists(request.output / "000000.tar")) {
    throw UserError(
        "{}: the folder holds a pack that was interrupted behind {} shards; go on with it by "
        "--resume, or name another folder",
        request.output.string(), old->shards.size());
  }
  return {.job = job, .shards = {}, .left_out = {}, .complete = false};
}

void remove_temporary_files(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (is_temporary_name(entry.path())) fs::remove(entry.path(), ignored);
  }
}

/// Packs from where the manifest stands to the end.
class Packer {
 public:
  Packer(const PackRequest& request, PackManifest manifest, bool goes_on)
      : folder_(request.output),
        manifest_(std::move(manifest)),
        left_out_(manifest_.left_out),
        position_(manifest_.next()),
        writer_(
            {.folder = request.output,
             .prefix = {},
             .max_samples = static_cast<std::size_t>(request.max_samples),
             .max_bytes = static_cast<std::uint64_t>(request.max_bytes),
             .complete_shards = goes_on ? std::optional(manifest_.shards.size()) : std::nullopt}) {
    write_manifest(folder_, manifest_);
  }

  void add(const RawSample& sample) {
    ++position_;
    std::vector<dataloader::MemberView> members;
    for (const dataloader::RawMember& member : sample.members) {
      members.push_back({member.suffix, member.bytes});
    }
    if (sample.defect) {
      leave_out(sample, *sample.defect);
    } else if (const auto problem = writer_.problem_with(sample.key, members)) {
      leave_out(sample, {"name not fit for a shard", *problem});
    } else {
      writer_.write(sample.key, members);
      ++samples_in_shard_;
      note_complete_shard();
    }
  }

  PackManifest finish() {
    writer_.finish();
    note_complete_shard();
    if (manifest_.shards.empty()) {
      throw UserError("{}: no sample is left to pack; all {} were left out, see above",
                      folder_.string(), position_);
    }
    manifest_.left_out = left_out_;
    manifest_.complete = true;
    write_manifest(folder_, manifest_);
    return manifest_;
  }

  std::uint64_t position() const { return position_; }

 private:
  void leave_out(const RawSample& sample, const dataloader::Defect& defect) {
    ++left_out_[defect.cause];
    if (++named_ > kNamed) return;
    log::warn("left out {}: {}: {}: {}", sample.shard, sample.key, defect.cause, defect.detail);
    if (named_ == kNamed) log::warn("further samples that are left out are only counted");
  }

  void note_complete_shard() {
    if (writer_.shards().size() == manifest_.shards.size()) return;
    const fs::path& shard = writer_.shards().back();
    manifest_.shards.push_back(
        {shard.filename().string(), samples_in_shard_, fs::file_size(shard), position_});
    manifest_.left_out = left_out_;
    samples_in_shard_ = 0;
    write_manifest(folder_, manifest_);
  }

  fs::path folder_;
  PackManifest manifest_;
  std::map<std::string, std::uint64_t> left_out_;
  std::uint64_t position_;
  std::uint64_t samples_in_shard_ = 0;
  std::uint64_t named_ = 0;
  dataloader::ShardWriter writer_;
};

PackManifest pack_samples(const PackRequest& request, const PackInput& input,
                          PackManifest manifest) {
  const bool was_begun = fs::exists(manifest_path(request.output));
  const bool goes_on = request.resume && was_begun;
  if (goes_on) log::info("goes on behind {} complete shards", manifest.shards.size());
  if (was_begun) remove_temporary_files(request.output);
  Packer packer(request, std::move(manifest), goes_on);
  input.samples->skip(packer.position());
  Progress progress("pack", input.size, "samples", packer.position());
  const ImageChanges changes{request.resize, request.verify};
  const bool decodes = request.resize > 0 || request.verify;
  const std::size_t threads = decodes ? std::max(1U, std::thread::hardware_concurrency()) : 1;
  dataloader::OrderedPool<RawSample, RawSample> pool([&] { return input.samples->next(); },
                                                     [&](RawSample sample) {
                                                       change_images(sample, changes);
                                                       return sample;
                                                     },
                                                     threads, 4 * threads);
  while (const std::optional<RawSample> sample = pool.next()) {
    packer.add(*sample);
    progress.update(packer.position());
  }
  return packer.finish();
}

}  // namespace

PackResult pack(const PackRequest& request) {
  const PackInput input = open_pack_input(request);
  log::info("{}: {}", input.layout, input.description);
  PackManifest manifest = begin_manifest(request, input);
  if (manifest.complete) {
    log::info("{}: the pack is already complete", request.output.string());
  } else {
    manifest = pack_samples(request, input, std::move(manifest));
  }
  if (!input.class_names.empty()) {
    write_file_atomically(request.output / "classes.txt",
                          fmt::format("{}\n", fmt::join(input.class_names, "\n")));
  }
  PackResult result{{}, input.class_names, manifest.samples(), manifest.left_out};
  for (const PackManifest::Shard& shard : manifest.shards) {
    result.shards.push_back(request.output / shard.name);
  }
  return result;
}

}  // namespace crescendo::pipelines
