#include "dataloader/sample_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace crescendo::dataloader {

namespace {

/// `__meta__` or `__meta__/a.jpg`, at the top level only.
bool is_meta_name(std::string_view name) {
  const std::string_view first = name.substr(0, name.find('/'));
  return first.size() >= 4 && first.starts_with("__") && first.ends_with("__");
}

char to_lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

}  // namespace

std::optional<MemberName> split_member_name(std::string_view name) {
  if (is_meta_name(name)) return std::nullopt;
  const std::size_t slash = name.rfind('/');
  const std::size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  const std::size_t dot = name.find('.', base);
  if (dot == std::string_view::npos || dot == base) return std::nullopt;
  MemberName split{std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
  std::ranges::transform(split.suffix, split.suffix.begin(), to_lower);
  return split;
}

const RawMember* RawSample::find(std::string_view suffix) const {
  const auto found = std::ranges::find(members, suffix, &RawMember::suffix);
  return found == members.end() ? nullptr : &*found;
}

std::uint64_t RawSample::byte_count() const {
  std::uint64_t count = 0;
  for (const RawMember& member : members) count += member.bytes.size();
  return count;
}

std::optional<Defect> defect_of_member(const RawSample& sample, std::string_view suffix,
                                       std::string_view name, std::uint64_t size,
                                       std::uint64_t max_sample_bytes) {
  if (sample.find(suffix) != nullptr) {
    return Defect{"duplicate member", fmt::format("'{}' comes twice", name)};
  }
  if (size > max_sample_bytes - sample.byte_count()) {
    return Defect{"sample too large",
                  fmt::format("'{}' has {} bytes; max_sample_bytes is {} for all members", name,
                              size, max_sample_bytes)};
  }
  return std::nullopt;
}

SampleReader::SampleReader(TarReader& archive, std::uint64_t max_sample_bytes)
    : archive_(archive), max_sample_bytes_(max_sample_bytes) {}

std::optional<RawSample> SampleReader::next() {
  std::optional<RawSample> sample;
  while (ahead_ || advance()) {
    if (!sample) {
      sample = RawSample{ahead_->name.key, archive_.name(), {}, {}};
    } else if (sample->key != ahead_->name.key) {
      return sample;
    }
    take_member(*sample);
  }
  return sample;
}

bool SampleReader::advance() {
  while (std::optional<TarMember> member = archive_.next()) {
    if (std::optional<MemberName> name = split_member_name(member->name)) {
      ahead_ = Ahead{std::move(*member), std::move(*name)};
      return true;
    }
  }
  return false;
}

void SampleReader::take_member(RawSample& sample) {
  const Ahead ahead = std::move(*std::exchange(ahead_, std::nullopt));
  if (sample.defect) return;
  sample.defect = defect_of_member(sample, ahead.name.suffix, ahead.member.name, ahead.member.size,
                                   max_sample_bytes_);
  if (sample.defect) {
    sample.members.clear();
  } else {
    sample.members.push_back({ahead.name.suffix, archive_.read()});
  }
}

}  // namespace crescendo::dataloader
