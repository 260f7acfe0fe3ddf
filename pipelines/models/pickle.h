#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::pipelines {

/// One object of a pickle. What a pickle would have Python call is recorded and never run.
struct PickleValue {
  enum class Kind {
    kNone,
    kNumber,      ///< `number`, of a bool too
    kText,        ///< `text`; also bytes, and integers beyond 64 bits, as they are stored
    kTuple,       ///< `items`
    kList,        ///< `items`
    kDict,        ///< `items`: key, value, key, value, ...
    kGlobal,      ///< `text`: "module name"
    kCall,        ///< `text` of the global that would be called, with `items`
    kPersistent,  ///< `items`: what the pickle refers to elsewhere by
  };
  Kind kind = Kind::kNone;
  double real = 0;  ///< of a kNumber that is a float
  std::int64_t number = 0;
  std::string text{};
  std::vector<std::size_t> items{};  ///< indices into Pickle::values
};

/// The objects that a pickle describes.
struct Pickle {
  std::vector<PickleValue> values;
  std::size_t root = 0;        ///< the object that was pickled
  std::size_t byte_count = 0;  ///< of the pickle; other bytes may follow

  const PickleValue& at(std::size_t index) const { return values[index]; }
  const PickleValue& top() const { return values[root]; }
};

/// Reads the pickle that `bytes` begin with (protocols 2 to 4, as far as torch.save uses them).
/// Throws DataError naming `where` and the offset: for an unknown opcode, a stack that does not
/// fit, more than 10 million objects.
Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where);

}  // namespace crescendo::pipelines
