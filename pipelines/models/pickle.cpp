#include "pipelines/models/pickle.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMaxValues = 10'000'000;

/// Opcodes, as Python's pickletools names them.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNoneObject = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobalName = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTupleOfMark = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8A,
  kShortBinUnicode = 0x8C,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

/// Takes the opcodes one by one; of its stack each entry is a value's index.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  Pickle read() {
    for (;;) {
      begin_ = at_;
      const auto opcode = static_cast<Opcode>(integer(1));
      if (opcode == kStop) break;
      take(opcode);
    }
    pickle_.root = pop();
    pickle_.byte_count = at_;
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw DataError("{}: pickle: {} (at byte {})", where_, what, begin_);
  }

  // --- Bytes ---

  std::string_view text(std::size_t count) {
    if (count > bytes_.size() - at_) fail("ends too early");
    const auto part = bytes_.subspan(at_, count);
    at_ += count;
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

  /// Little-endian.
  std::uint64_t integer(std::size_t count) {
    const std::string_view part = text(count);
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) {
      value = value << 8U | static_cast<unsigned char>(part[i]);
    }
    return value;
  }

  /// Up to the end of a line.
  std::string_view line() {
    const std::size_t begin = at_;
    while (text(1) != "\n") {
    }
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, at_ - begin - 1};
  }

  // --- Stack ---

  std::size_t pop() {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) fail("takes an object that is not there");
    const std::size_t index = stack_.back();
    stack_.pop_back();
    return index;
  }

  std::vector<std::size_t> pop_to_mark() {
    if (marks_.empty()) fail("takes a mark that is not there");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<std::size_t> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  void push(PickleValue value) {
    if (pickle_.values.size() == kMaxValues) fail("more objects than weights need");
    stack_.push_back(pickle_.values.size());
    pickle_.values.push_back(std::move(value));
  }

  void push_number(std::int64_t number) { push({.kind = Kind::kNumber, .number = number}); }
  void push_text(std::size_t count) {
    push({.kind = Kind::kText, .text = std::string(text(count))});
  }

  void push_long(std::size_t count) {
    if (count > 8) return push_text(count);
    std::uint64_t value = integer(count);
    const bool negative = count > 0 && (value >> (8 * count - 1) & 1U) != 0;
    if (negative && count < 8) value |= ~std::uint64_t{0} << (8 * count);
    push_number(static_cast<std::int64_t>(value));
  }

  void push_tuple(std::size_t count) {
    std::vector<std::size_t> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    push({.kind = Kind::kTuple, .items = std::move(items)});
  }

  PickleValue& value(std::size_t index) { return pickle_.values[index]; }

  // --- Opcodes ---

  void take(Opcode opcode) {
    switch (opcode) {
      case kProto:
        if (integer(1) > 5) fail("a protocol that is not known");
        return;
      case kFrame:
        text(8);
        return;
      case kMark:
        return marks_.push_back(stack_.size());
      case kPop:
        pop();
        return;
      case kAppend:
        return append({pop()});
      case kAppends:
        return append(pop_to_mark());
      case kSetItem: {
        const std::size_t item = pop();
        return set_items({pop(), item});
      }
      case kSetItems:
        return set_items(pop_to_mark());
      case kReduce:
      case kNewObj:
        return call();
      case kBuild:
        pop();  // attributes, such as the versions of modules beside their weights
        peek();
        return;
      default:
        if (!take_constant(opcode) && !take_container(opcode) && !take_memo(opcode)) {
          fail(
              fmt::format("opcode {:#x} is none that weights need", static_cast<unsigned>(opcode)));
        }
    }
  }

  bool take_constant(Opcode opcode) {
    switch (opcode) {
      case kNoneObject:
        push({});
        return true;
      case kNewTrue:
      case kNewFalse:
        push_number(opcode == kNewTrue ? 1 : 0);
        return true;
      case kBinInt:
        push_number(static_cast<std::int32_t>(integer(4)));
        return true;
      case kBinInt1:
      case kBinInt2:
        push_number(static_cast<std::int64_t>(integer(opcode == kBinInt1 ? 1 : 2)));
        return true;
      case kLong1:
        push_long(integer(1));
        return true;
      case kBinFloat:
        // Big-endian, unlike all other numbers.
        push({.kind = Kind::kNumber, .real = std::bit_cast<double>(__builtin_bswap64(integer(8)))});
        return true;
      case kBinUnicode:
      case kBinString:
      case kBinBytes:
        push_text(integer(4));
        return true;
      case kShortBinUnicode:
      case kShortBinString:
      case kShortBinBytes:
        push_text(integer(1));
        return true;
      default:
        return false;
    }
  }

  bool take_container(Opcode opcode) {
    switch (opcode) {
      case kEmptyDict:
        push({.kind = Kind::kDict});
        return true;
      case kEmptyList:
        push({.kind = Kind::kList});
        return true;
      case kEmptyTuple:
      case kTuple1:
      case kTuple2:
      case kTuple3:
        push_tuple(opcode == kEmptyTuple ? 0 : static_cast<std::size_t>(opcode - kTuple1) + 1);
        return true;
      case kTupleOfMark:
        push({.kind = Kind::kTuple, .items = pop_to_mark()});
        return true;
      case kBinPersId:
        push({.kind = Kind::kPersistent, .items = {pop()}});
        return true;
      case kGlobalName: {
        const std::string module(line());
        push({.kind = Kind::kGlobal, .text = module + " " + std::string(line())});
        return true;
      }
      case kStackGlobal: {
        const std::string name = value(pop()).text;
        push({.kind = Kind::kGlobal, .text = value(pop()).text + " " + name});
        return true;
      }
      default:
        return false;
    }
  }

  bool take_memo(Opcode opcode) {
    switch (opcode) {
      case kBinPut:
      case kLongBinPut:
        memo_[integer(opcode == kBinPut ? 1 : 4)] = peek();
        return true;
      case kMemoize:
        memo_[memo_.size()] = peek();
        return true;
      case kBinGet:
      case kLongBinGet: {
        const auto found = memo_.find(integer(opcode == kBinGet ? 1 : 4));
        if (found == memo_.end()) fail("takes back what it never put aside");
        stack_.push_back(found->second);
        return true;
      }
      default:
        return false;
    }
  }

  std::size_t peek() {
    const std::size_t index = pop();
    stack_.push_back(index);
    return index;
  }

  void append(const std::vector<std::size_t>& items) {
    PickleValue& list = value(peek());
    if (list.kind != Kind::kList) fail("appends to what is no list");
    list.items.insert(list.items.end(), items.begin(), items.end());
  }

  void set_items(const std::vector<std::size_t>& items) {
    PickleValue& dict = value(peek());
    if (dict.kind != Kind::kDict || items.size() % 2 != 0) fail("sets items of what is no dict");
    dict.items.insert(dict.items.end(), items.begin(), items.end());
  }

  void call() {
    const std::size_t arguments = pop();
    const std::size_t function = pop();
    const Kind kind = value(function).kind;
    const bool callable = kind == Kind::kGlobal || kind == Kind::kPersistent;
    if (!callable || value(arguments).kind != Kind::kTuple) fail("calls what is no name");
    if (value(function).text == "collections OrderedDict" && value(arguments).items.empty()) {
      return push({.kind = Kind::kDict});
    }
    push({.kind = Kind::kCall,
          .text = kind == Kind::kGlobal ? value(function).text : "a class",
          .items = value(arguments).items});
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::size_t begin_ = 0;  ///< of the opcode
  Pickle pickle_;
  std::vector<std::size_t> stack_;
  std::vector<std::size_t> marks_;  ///< sizes of the stack
  std::map<std::uint64_t, std::size_t> memo_;
};

}  // namespace

Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where) {
  return Reader(bytes, where).read();
}

}  // namespace crescendo::pipelines
