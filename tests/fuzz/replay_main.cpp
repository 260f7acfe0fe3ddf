// Stands in for libFuzzer where it is not: runs a fuzz target over the files of the folders given
// as arguments, then over mutations of them, the same ones every time. Usage:
//   fuzz_NAME [--rounds=N] [--keep=FILE] FOLDER...
// With --keep, every input is written to FILE first, so that a crash leaves the one that made it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kLargest = 1 << 16;  // of a mutated input

std::vector<Input> read_corpus(std::vector<std::filesystem::path> folders) {
  std::vector<std::filesystem::path> files;
  for (const auto& folder : folders) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  std::vector<Input> corpus;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Input>& corpus) : corpus_(corpus) {}

  Input next() {
    Input input = corpus_[below(corpus_.size())];
    for (std::size_t times = 1 + below(4); times > 0; --times) mutate(input);
    if (input.size() > kLargest) input.resize(kLargest);
    return input;
  }

 private:
  // Not std::uniform_int_distribution, which differs between libraries. n > 0.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_()) % n; }

  void mutate(Input& input) {
    if (input.empty()) {
      input.push_back(static_cast<std::uint8_t>(random_()));
      return;
    }
    const std::size_t at = below(input.size());
    const std::size_t count = 1 + below(std::min<std::size_t>(input.size() - at, 64));
    const auto begin = input.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    switch (below(7)) {
      case 0:
        *begin ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        *begin = static_cast<std::uint8_t>(random_());
        break;
      case 2:
        std::fill(begin, end, below(2) == 0 ? std::uint8_t{0} : std::uint8_t{0xFF});
        break;
      case 3:
        input.erase(begin, end);
        break;
      case 4: {
        const Input part(begin, end);
        input.insert(begin, part.begin(), part.end());
        break;
      }
      case 5:
        input.resize(at);
        break;
      default:
        splice(input, at);
    }
  }

  /// The rest of another input from here on.
  void splice(Input& input, std::size_t at) {
    const Input& other = corpus_[below(corpus_.size())];
    if (other.empty()) return;
    input.resize(at);
    input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())),
                 other.end());
  }

  const std::vector<Input>& corpus_;
  std::mt19937_64 random_{1};
};

void run(const Input& input, const std::string& keep) {
  if (!keep.empty()) {
    std::ofstream file(keep, std::ios::binary);
    file.write(reinterpret_cast<const char*>(input.data()),
               static_cast<std::streamsize>(input.size()));
  }
  // A copy of exactly this size, so that AddressSanitizer sees a read past its end.
  const Input exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int count, char** arguments) {
  std::size_t rounds = 0;
  std::string keep;
  std::vector<std::filesystem::path> folders;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with("--rounds=")) {
      rounds = std::stoul(std::string(argument.substr(9)));
    } else if (argument.starts_with("--keep=")) {
      keep = argument.substr(7);
    } else {
      folders.emplace_back(argument);
    }
  }
  try {
    const std::vector<Input> corpus = read_corpus(folders);
    if (corpus.empty()) {
      std::fputs("no corpus: expected folders with files\n", stderr);
      return 2;
    }
    for (const Input& input : corpus) run(input, keep);
    Mutator mutator(corpus);
    for (std::size_t i = 0; i < rounds; ++i) run(mutator.next(), keep);
    std::printf("%zu files, %zu mutations\n", corpus.size(), rounds);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "the target let an exception out: %s\n", failure.what());
    return 1;
  }
  return 0;
}
