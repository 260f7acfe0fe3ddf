#include "pipelines/models/pickled_weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/Functions.h>

#include "core/error.h"
#include "core/mapped_file.h"
#include "pipelines/models/pickle.h"
#include "pipelines/models/zip_file.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Kind = PickleValue::Kind;

namespace {

constexpr std::array<std::string_view, 5> kSuffixes{".ckpt", ".pt", ".pth", ".bin", ".pkl"};

/// What the older stream begins with: a pickle of the number 0x1950A86A20F9469CFC6C.
constexpr std::string_view kLegacyMagic("\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19.",
                                        15);

/// The member of an archive that says what the others are of.
constexpr std::string_view kProgram = "/data.pkl";

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 10> kStorages{
    {{"torch FloatStorage", at::kFloat},
     {"torch HalfStorage", at::kHalf},
     {"torch BFloat16Storage", at::kBFloat16},
     {"torch DoubleStorage", at::kDouble},
     {"torch LongStorage", at::kLong},
     {"torch IntStorage", at::kInt},
     {"torch ShortStorage", at::kShort},
     {"torch CharStorage", at::kChar},
     {"torch ByteStorage", at::kByte},
     {"torch BoolStorage", at::kBool}}};

/// The bytes of a storage by its key; nothing where there is none.
using Storages = std::function<std::optional<std::string_view>(const std::string& key)>;

/// From the objects of a pickle to tensors.
class StateDict {
 public:
  StateDict(const Pickle& pickle, std::string where) : pickle_(pickle), where_(std::move(where)) {}

  TensorMap read(const Storages& storages) const {
    TensorMap tensors;
    const std::vector<std::size_t>& items = state_dict().items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      const PickleValue& name = pickle_.at(items[i]);
      const PickleValue* value = &pickle_.at(items[i + 1]);
      if (value->kind != Kind::kCall) continue;
      if (name.kind != Kind::kText) fail("a tensor without a name");
      tensors[name.text] = tensor_of(*value, name.text, storages);
    }
    if (tensors.empty()) fail("expected a dict of tensors by name, found none");
    return tensors;
  }

  /// Bytes an element takes, of each storage that the pickle names, by its key.
  std::map<std::string, std::size_t> element_sizes() const {
    std::map<std::string, std::size_t> sizes;
    for (const PickleValue& value : pickle_.values) {
      if (value.kind != Kind::kPersistent || names_class(value)) continue;
      const Storage storage = storage_of(value, "a storage");
      sizes[storage.key] = c10::elementSize(storage.type);
    }
    return sizes;
  }

 private:
  /// Whether the older stream refers to a class by it: ("module", class, file, source).
  bool names_class(const PickleValue& persistent) const {
    const PickleValue& id = argument(persistent, 0, Kind::kTuple, "a storage");
    return argument(id, 0, Kind::kText, "a storage").text == "module";
  }

  struct Storage {
    at::ScalarType type;
    std::string key;
  };

  [[noreturn]] void fail(const std::string& what) const { throw DataError("{}: {}", where_, what); }

  const PickleValue& state_dict() const {
    const PickleValue& top = pickle_.top();
    if (top.kind == Kind::kCall) {
      fail("expected a dict of tensors by name, found a pickled object (" + top.text +
           "), which cannot be read without running its code");
    }
    if (top.kind != Kind::kDict) fail("expected a dict of tensors by name, found something else");
    for (std::size_t i = 0; i + 1 < top.items.size(); i += 2) {
      const PickleValue& value = pickle_.at(top.items[i + 1]);
      if (pickle_.at(top.items[i]).text == "state_dict" && value.kind == Kind::kDict) return value;
    }
    return top;
  }

  const PickleValue& argument(const PickleValue& call, std::size_t i, Kind kind,
                              const std::string& name) const {
    if (i < call.items.size() && pickle_.at(call.items[i]).kind == kind) {
      return pickle_.at(call.items[i]);
    }
    fail(name + ": malformed");
  }

  std::vector<std::int64_t> numbers(const PickleValue& tuple, const std::string& name) const {
    std::vector<std::int64_t> found;
    for (std::size_t i = 0; i < tuple.items.size(); ++i) {
      found.push_back(argument(tuple, i, Kind::kNumber, name).number);
      if (found.back() < 0) fail(name + ": a negative shape or stride");
    }
    return found;
  }

  /// ("storage", type, key, device, number of elements, ...)
  Storage storage_of(const PickleValue& persistent, const std::string& name) const {
    const PickleValue& id = argument(persistent, 0, Kind::kTuple, name);
    const std::string& type = argument(id, 1, Kind::kGlobal, name).text;
    const auto* known =
        std::ranges::find(kStorages, type, &std::pair<std::string_view, at::ScalarType>::first);
    if (known == kStorages.end()) fail(name + ": a kind of storage that is not known: " + type);
    return {known->second, argument(id, 2, Kind::kText, name).text};
  }

  /// _rebuild_tensor_v2(storage, offset, shape, strides, ...), or _rebuild_parameter(tensor, ...)
  at::Tensor tensor_of(const PickleValue& call, const std::string& name,
                       const Storages& storages) const {
    if (call.text == "torch._utils _rebuild_parameter") {
      const PickleValue& inner = argument(call, 0, Kind::kCall, name);
      if (inner.text == call.text) fail(name + ": malformed");
      return tensor_of(inner, name, storages);
    }
    if (call.text != "torch._utils _rebuild_tensor_v2") {
      fail(name + ": asks for " + call.text + " to be run, which is refused; expected a tensor");
    }
    const Storage storage = storage_of(argument(call, 0, Kind::kPersistent, name), name);
    const std::int64_t offset = argument(call, 1, Kind::kNumber, name).number;
    const auto shape = numbers(argument(call, 2, Kind::kTuple, name), name);
    const auto strides = numbers(argument(call, 3, Kind::kTuple, name), name);
    const auto bytes = storages(storage.key);
    if (!bytes) fail(name + ": its storage is not in the file");
    const auto count = static_cast<std::int64_t>(bytes->size() / c10::elementSize(storage.type));
    check_within(shape, strides, offset, count, name);
    if (std::ranges::find(shape, 0) != shape.end()) return at::empty(shape, storage.type);
    at::Tensor all = at::empty({count}, storage.type);
    std::memcpy(all.data_ptr(), bytes->data(),
                static_cast<std::size_t>(count) * c10::elementSize(storage.type));
    return all.as_strided(shape, strides, offset).contiguous();
  }

  /// Every element lies in the storage, and there are no more of them than there.
  void check_within(const std::vector<std::int64_t>& shape,
                    const std::vector<std::int64_t>& strides, std::int64_t offset,
                    std::int64_t count, const std::string& name) const {
    const bool sound = [&] {
      if (shape.size() != strides.size() || offset < 0) return false;
      std::int64_t elements = 1;
      std::int64_t last = offset;
      if (last > count) return false;
      for (std::size_t i = 0; i < shape.size(); ++i) {
        if (shape[i] == 0) return true;
        if (elements > count / shape[i]) return false;
        elements *= shape[i];
        if (shape[i] > 1 && strides[i] > (count - last) / (shape[i] - 1)) return false;
        last += strides[i] * (shape[i] - 1);
      }
      return last < count;
    }();
    if (!sound) fail(name + ": its shape does not fit into its storage");
  }

  const Pickle& pickle_;
  std::string where_;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TensorMap read_archive(const fs::path& file) {
  const ZipMembers members = read_zip(file, [](std::string_view name) {
    return name.ends_with(kProgram) || name.find("/data/") != std::string_view::npos;
  });
  const auto program = std::ranges::find_if(
      members, [&](const auto& member) { return member.first.ends_with(kProgram); });
  if (program == members.end()) {
    throw DataError("{}: expected what torch.save writes, found a zip archive without data.pkl",
                    file.string());
  }
  const std::string folder =
      program->first.substr(0, program->first.size() - kProgram.size()) + "/data/";
  const Pickle pickle = parse_pickle(bytes_of(program->second), file.string());
  return StateDict(pickle, file.string())
      .read([&](const std::string& key) -> std::optional<std::string_view> {
        const auto found = members.find(folder + key);
        if (found == members.end()) return std::nullopt;
        return found->second;
      });
}

/// Pickles of a number, a protocol, the machine, the objects and the keys of storages; behind them
/// of each storage the count of its elements and those.
TensorMap read_stream(std::string_view stream, const std::string& where) {
  std::array<Pickle, 4> pickles;
  stream.remove_prefix(kLegacyMagic.size());
  for (Pickle& pickle : pickles) {
    pickle = parse_pickle(bytes_of(stream), where);
    stream.remove_prefix(pickle.byte_count);
  }
  const auto& [protocol, machine, objects, keys] = pickles;
  const StateDict dict(objects, where);
  const std::map<std::string, std::size_t> sizes = dict.element_sizes();
  std::map<std::string, std::string_view> storages;
  for (const std::size_t index : keys.top().items) {
    const std::string& key = keys.at(index).text;
    if (!sizes.contains(key)) throw DataError("{}: storage {} is of no tensor", where, key);
    const std::size_t size = sizes.at(key);
    std::uint64_t count = 0;
    if (stream.size() < sizeof count) throw DataError("{}: ends too early", where);
    std::memcpy(&count, stream.data(), sizeof count);
    stream.remove_prefix(sizeof count);
    if (count > stream.size() / size) throw DataError("{}: ends too early", where);
    storages[key] = stream.substr(0, count * size);
    stream.remove_prefix(count * size);
  }
  return dict.read([&](const std::string& key) -> std::optional<std::string_view> {
    const auto found = storages.find(key);
    if (found == storages.end()) return std::nullopt;
    return found->second;
  });
}

}  // namespace

bool is_pickle_name(const fs::path& file) {
  return std::ranges::find(kSuffixes, file.extension().string()) != kSuffixes.end();
}

TensorMap load_pickled_weights(const fs::path& file) {
  const MappedFile mapped(file);
  const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()),
                               mapped.bytes().size());
  if (bytes.starts_with(kLegacyMagic)) return read_stream(bytes, file.string());
  if (bytes.starts_with("PK")) return read_archive(file);
  throw DataError("{}: expected what torch.save writes, found other bytes", file.string());
}

}  // namespace crescendo::pipelines
