#include "pipelines/monitoring/event_file.h"

#include <bit>
#include <csignal>
#include <map>
#include <stdexcept>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/atomic_file.h"
#include "core/crc32c.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  }
  return value;
}

/// Takes `count` bytes off the front.
std::string_view take(std::string_view& bytes, std::uint64_t count) {
  if (count > bytes.size()) throw std::runtime_error("ends too early");
  const std::string_view taken = bytes.substr(0, count);
  bytes.remove_prefix(count);
  return taken;
}

std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<std::uint8_t>(take(bytes, 1)[0]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

/// The fields of a protocol buffer by their numbers: numbers as their bits, the rest as bytes.
using Field = std::variant<std::uint64_t, std::string_view>;
std::multimap<std::uint64_t, Field> parse(std::string_view bytes) {
  std::multimap<std::uint64_t, Field> fields;
  while (!bytes.empty()) {
    const std::uint64_t key = take_varint(bytes);
    switch (key & 7) {
      case 0:
        fields.emplace(key >> 3, take_varint(bytes));
        break;
      case 1:
        fields.emplace(key >> 3, little_endian(take(bytes, 8)));
        break;
      case 2:
        fields.emplace(key >> 3, take(bytes, take_varint(bytes)));
        break;
      case 5:
        fields.emplace(key >> 3, little_endian(take(bytes, 4)));
        break;
      default:
        throw std::runtime_error("unknown wire type");
    }
  }
  return fields;
}

std::uint64_t number(std::string_view message, std::uint64_t field) {
  return std::get<std::uint64_t>(parse(message).find(field)->second);
}

std::string_view bytes_of(std::string_view message, std::uint64_t field) {
  return std::get<std::string_view>(parse(message).find(field)->second);
}

float float_of(std::string_view message, std::uint64_t field) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(number(message, field)));
}

std::uint32_t masked(std::string_view bytes) {
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(bytes)));
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

class EventFileTest : public testing::Test {
 protected:
  /// The events of a file, each record checked.
  std::vector<std::string_view> events(const fs::path& file) {
    content_ = read_file(file);
    std::string_view bytes = content_;
    std::vector<std::string_view> events;
    while (!bytes.empty()) {
      const std::string_view length = take(bytes, 8);
      EXPECT_EQ(little_endian(take(bytes, 4)), masked(length));
      events.push_back(take(bytes, little_endian(length)));
      EXPECT_EQ(little_endian(take(bytes, 4)), masked(events.back()));
    }
    return events;
  }

  TemporaryFolder folder_;
  std::string content_;
};

TEST_F(EventFileTest, BeginsWithVersionAndStart) {
  EventFile file(folder_.path(), 41);
  file.flush();
  const auto found = events(file.path());
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(bytes_of(found[0], 3), "brain.Event:2");
  EXPECT_EQ(bytes_of(bytes_of(found[0], 10), 1), "crescendo");
  EXPECT_GT(std::bit_cast<double>(number(found[0], 1)), 1.6e9);  // seconds since 1970
  EXPECT_EQ(number(found[1], 2), 41);
  EXPECT_EQ(number(bytes_of(found[1], 7), 1), 1);  // SessionLog.START
}

TEST_F(EventFileTest, HoldsScalars) {
  EventFile file(folder_.path(), 1);
  file.add_scalars(300, std::vector<Scalar>{{"train/loss", 0.1}, {"train/lr", -2e-5}});
  file.flush();
  const auto found = events(file.path());
  ASSERT_EQ(found.size(), 3);
  EXPECT_EQ(number(found[2], 2), 300);
  std::vector<std::pair<std::string, float>> scalars;
  for (const auto& [field, value] : parse(bytes_of(found[2], 5))) {
    EXPECT_EQ(field, 1);
    const auto one = std::get<std::string_view>(value);
    scalars.emplace_back(bytes_of(one, 1), float_of(one, 2));
  }
  EXPECT_EQ(scalars, (std::vector<std::pair<std::string, float>>{{"train/loss", 0.1F},
                                                                 {"train/lr", -2e-5F}}));
}

TEST_F(EventFileTest, HoldsPicturesAndText) {
  EventFile file(folder_.path(), 1);
  const std::string png(300, 'p');
  file.add_image(7, "samples", std::as_bytes(std::span(png)), 640, 320);
  file.add_text(0, "config", "seed = 1");
  file.flush();
  const auto found = events(file.path());
  ASSERT_EQ(found.size(), 4);
  const auto picture = bytes_of(bytes_of(found[2], 5), 1);
  EXPECT_EQ(bytes_of(picture, 1), "samples");
  EXPECT_EQ(number(bytes_of(picture, 4), 1), 320);
  EXPECT_EQ(number(bytes_of(picture, 4), 2), 640);
  EXPECT_EQ(bytes_of(bytes_of(picture, 4), 4), png);
  const auto text = bytes_of(bytes_of(found[3], 5), 1);
  EXPECT_EQ(bytes_of(bytes_of(text, 8), 8), "seed = 1");
  EXPECT_EQ(bytes_of(bytes_of(bytes_of(text, 9), 1), 1), "text");
}

TEST_F(EventFileTest, ComesAfterThoseAlreadyThere) {
  const EventFile first(folder_.path(), 1);
  const EventFile second(folder_.path(), 1);
  write_file_atomically(folder_ / "events.out.tfevents.4000000000.host.1.0", "");  // of the future
  const EventFile third(folder_.path(), 1);
  EXPECT_LT(first.path(), second.path());
  EXPECT_TRUE(third.path().filename().string().starts_with("events.out.tfevents.4000000001."));
}

TEST_F(EventFileTest, SaysWhyItCannotBeMade) {
  write_file_atomically(folder_ / "file", "");
  EXPECT_EQ(error_text([&] { EventFile(folder_ / "file", 1); }),
            (folder_ / "file").string() + ": cannot be read: Not a directory");
}

TEST_F(EventFileTest, GoesOnAfterAFailedWrite) {
  EventFile file(folder_.path(), 1);
  file.flush();
  const auto add = [&](std::int64_t step) {
    file.add_text(step, "t", std::string(5000, static_cast<char>('a' + step)));
  };
  add(1);
  // Files may not grow beyond the middle of that event: a disk that is full.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{fs::file_size(file.path()) + 2000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string expected = file.path().string() + ": cannot be written: File too large";
  EXPECT_EQ(error_text([&] { file.flush(); }), expected);
  EXPECT_EQ(error_text([&] { file.flush(); }), expected);
  add(2);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  file.flush();
  const auto found = events(file.path());
  ASSERT_EQ(found.size(), 4);
  EXPECT_EQ(number(found[2], 2), 1);
  EXPECT_EQ(number(found[3], 2), 2);
}

TEST_F(EventFileTest, ComplainsOfADeletedFolder) {
  EventFile file(folder_ / "run", 1);
  fs::remove_all(folder_ / "run");
  EXPECT_EQ(error_text([&] { file.flush(); }),
            file.path().string() + ": cannot be written: No such file or directory");
}

}  // namespace
}  // namespace crescendo::pipelines
