#pragma once

#include <c10/core/impl/LocalDispatchKeySet.h>

namespace crescendo {

/// While one lives, layers that this thread constructs leave their random weights unset, as
/// torch.nn.utils.skip_init does: the memory of a large model is then not touched before
/// load_weights() fills it.
class SkipInit {
 public:
  SkipInit();

 private:
  c10::impl::IncludeDispatchKeyGuard guard_;
};

}  // namespace crescendo
