#include "dataloader/open_files.h"

namespace crescendo::dataloader {

std::shared_ptr<const PlainFile> OpenFiles::get(std::uint64_t number,
                                                const std::filesystem::path& path) {
  Slot& slot = slots_[number % slots_.size()];
  {
    const std::lock_guard lock(mutex_);
    if (slot.file && slot.number == number) return slot.file;
  }
  auto file = std::make_shared<const PlainFile>(path);
  const std::lock_guard lock(mutex_);
  slot = {number, file};
  return file;
}

}  // namespace crescendo::dataloader
