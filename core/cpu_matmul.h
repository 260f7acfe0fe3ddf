#pragma once

namespace crescendo {

/// Lets ATen multiply float32 matrices on the CPU with oneDNN where its MKL does not use what the
/// CPU has: beside Intel's CPUs MKL leaves AVX-512 alone. The products stay float32, which one of
/// them is looked at to see. Not to be called while another thread multiplies. Returns whether
/// oneDNN was chosen.
bool choose_cpu_matmul();

}  // namespace crescendo
