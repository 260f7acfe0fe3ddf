#pragma once

#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>

namespace crescendo {

/// Registers `modules` with `parent` as a list: their parameters are then `name`.0.*, `name`.1.*,
/// ... The caller keeps the typed vector, so that a forward needs no casts.
template <typename Holder>
void register_list(torch::nn::Module& parent, const std::string& name,
                   const std::vector<Holder>& modules) {
  torch::nn::ModuleList list;
  for (const Holder& module : modules) list->push_back(module);
  parent.register_module(name, list);
}

}  // namespace crescendo
