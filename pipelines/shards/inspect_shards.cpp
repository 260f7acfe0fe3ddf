#include "pipelines/shards/inspect_shards.h"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/progress.h"
#include "dataloader/plain_file.h"
#include "dataloader/sample_reader.h"
#include "pipelines/shards/contact_sheet.h"
#include "pipelines/shards/shard_contents.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using dataloader::RawMember;
using dataloader::RawSample;

namespace {

constexpr std::size_t kProblems = 20;
constexpr std::uint64_t kMaxSampleBytes = std::uint64_t{1} << 30;
constexpr std::array<std::string_view, 6> kImages{"jpg", "jpeg", "jpe", "jfif", "png", "webp"};

/// Calls `take` with each sample of a shard; throws as the readers do.
template <typename Take>
void read_shard(const std::string& shard, Take take) {
  dataloader::TarReader archive{fs::path(shard)};
  dataloader::SampleReader reader(archive, kMaxSampleBytes);
  while (const std::optional<RawSample> sample = reader.next()) take(*sample);
}

/// The lines of the classes.txt beside the first shard, or nothing.
std::vector<std::string> class_names_beside(const std::string& shard) {
  const fs::path file = fs::path(shard).parent_path() / "classes.txt";
  std::vector<std::string> names;
  if (!fs::exists(file)) return names;
  std::istringstream lines(read_file(file));
  for (std::string line; std::getline(lines, line);) names.push_back(line);
  return names;
}

class ShardInspector {
 public:
  explicit ShardInspector(const ShardInspection& inspection)
      : images_(inspection.decode),
        captions_(inspection.tokenizer, inspection.max_length),
        wants_sheet_(!inspection.contact_sheet.empty()) {}

  void add(const std::string& shard, Progress& progress) {
    const std::uint64_t before = samples_;
    shards_.push_back(shard);
    try {
      read_shard(shard, [&](const RawSample& sample) {
        add_sample(sample);
        progress.update(++samples_);
      });
      if (samples_ == before) problem(fmt::format("{}: holds no samples", shard));
    } catch (const UserError& failure) {
      problem(failure.what());
    }
  }

  Json report() const {
    Json report = {{"kind", "shards"}, {"shards", shards_.size()}, {"samples", samples_},
                   {"bytes", bytes_},  {"members", members_},      {"images", images_.report()}};
    if (captions_.count() > 0) report["captions"] = captions_.report();
    if (classes_.count() > 0) {
      report["classes"] = classes_.report(class_names_beside(shards_.front()));
    }
    report["orphans"] = {{"images_without_caption", without_caption_.count()},
                         {"images_without_class", without_class_.count()},
                         {"samples_without_image", without_image_.count()}};
    report["repeated_keys"] = repeated_keys_.count();
    add_problems(report);
    return report;
  }

  const ContactSheet& contact_sheet() const { return sheet_; }

 private:
  void problem(std::string text) {
    ++problem_count_;
    if (problems_.size() < kProblems) problems_.push_back(std::move(text));
  }

  void add_problems(Json& report) const {
    std::uint64_t count = problem_count_;
    std::vector<std::string> texts = problems_;
    const auto add = [&](const Finding& finding) {
      if (finding.count() == 0) return;
      texts.push_back(finding.text());
      ++count;
    };
    // Shards of no captions or no classes at all are not meant to have them.
    if (captions_.count() > 0) add(without_caption_);
    if (classes_.count() > 0) add(without_class_);
    add(without_image_);
    add(repeated_keys_);
    if (count == 0) return;
    report["problem_count"] = count;
    report["problems"] = texts;
  }

  void add_sample(const RawSample& sample) {
    const std::string where = fmt::format("{}: {}", sample.shard, sample.key);
    const auto number = static_cast<std::uint32_t>(shards_.size() - 1);
    if (const auto [known, is_new] = keys_.emplace(sample.key, number); !is_new) {
      repeated_keys_.add(
          fmt::format("'{}' in {} and {}", sample.key, shards_[known->second], sample.shard));
    }
    if (sample.defect) {
      problem(fmt::format("{}: {}: {}", where, sample.defect->cause, sample.defect->detail));
      return;
    }
    bool has_image = false;
    for (const RawMember& member : sample.members) has_image |= add_member(sample, member, where);
    if (!has_image) without_image_.add(where);
    if (has_image && sample.find("txt") == nullptr) without_caption_.add(where);
    if (has_image && sample.find("cls") == nullptr) without_class_.add(where);
  }

  /// True for an image.
  bool add_member(const RawSample& sample, const RawMember& member, const std::string& where) {
    ++members_[member.suffix];
    bytes_ += member.bytes.size();
    const std::string_view text(reinterpret_cast<const char*>(member.bytes.data()),
                                member.bytes.size());
    const bool is_image = std::ranges::find(kImages, member.suffix) != kImages.end();
    std::string fault;
    if (member.suffix == "txt") fault = captions_.add(text);
    if (member.suffix == "cls") classes_.add(text);
    if (is_image) {
      fault = images_.add(member.bytes);
      if (fault.empty() && wants_sheet_) sheet_.add(sample.key, member.bytes);
    }
    if (!fault.empty()) problem(fmt::format("{}: {}", where, fault));
    return is_image;
  }

  std::vector<std::string> shards_;
  std::uint64_t samples_ = 0;
  std::uint64_t bytes_ = 0;
  std::map<std::string, std::uint64_t> members_;
  std::unordered_map<std::string, std::uint32_t> keys_;  ///< the first shard of each
  ImageStatistics images_;
  CaptionStatistics captions_;
  ClassStatistics classes_;
  bool wants_sheet_;
  ContactSheet sheet_;
  Finding without_caption_{"images without a caption"};
  Finding without_class_{"images without a class"};
  Finding without_image_{"samples without an image (jpg, png or webp)"};
  Finding repeated_keys_{"repetitions of a key"};
  std::uint64_t problem_count_ = 0;
  std::vector<std::string> problems_;
};

Json listed(const RawSample& sample) {
  Json entry = {{"shard", sample.shard}, {"key", sample.key}};
  if (sample.defect) {
    entry["defect"] = fmt::format("{}: {}", sample.defect->cause, sample.defect->detail);
    return entry;
  }
  Json members = Json::array();
  for (const RawMember& member : sample.members) {
    members.push_back({member.suffix, member.bytes.size(), dataloader::crc32_of(member.bytes)});
  }
  entry["members"] = std::move(members);
  return entry;
}

}  // namespace

Json inspect_shards(std::span<const std::string> shards, const ShardInspection& inspection) {
  ShardInspector inspector(inspection);
  Progress progress("inspect", 0, "samples");
  for (const std::string& shard : shards) inspector.add(shard, progress);
  if (!inspection.contact_sheet.empty()) {
    inspector.contact_sheet().write(inspection.contact_sheet);
  }
  return inspector.report();
}

void list_samples(std::span<const std::string> shards,
                  const std::function<void(const Json&)>& emit) {
  for (const std::string& shard : shards) {
    try {
      read_shard(shard, [&](const RawSample& sample) { emit(listed(sample)); });
    } catch (const UserError& failure) {
      emit({{"shard", shard}, {"error", failure.what()}});
    }
  }
}

}  // namespace crescendo::pipelines
