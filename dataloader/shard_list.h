#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::dataloader {

/// Expands braces as bash does: `{a,b}`, `{08..11}` (zero-padded as its operands), `{0..9..3}`,
/// `{c..a}`, nested and multiplied. `{}` and `{x}` stay as they are. Throws UserError for braces
/// that do not match and for more than a million results.
std::vector<std::string> expand_braces(std::string_view pattern);

/// The shards that paths, brace lists and globs (`*`, `?`, `[...]`) name, in the order of the
/// patterns, each glob's matches sorted. `@FILE`, and a path that ends in .txt, is a list: one
/// pattern a line, relative to the list's folder, lines from # on left out. `pipe:COMMAND` (its
/// braces expanded) and `-` stand for themselves. Throws UserError when a file is missing (naming
/// the first few), a glob matches nothing (naming what is in the folder) or a shard is named twice.
std::vector<std::string> expand_shards(std::span<const std::string> patterns);

}  // namespace crescendo::dataloader
