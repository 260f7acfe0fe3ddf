#pragma once

namespace crescendo {

/// What every program that computes on the CPU gains from: matrices multiplied as suits it
/// (core/cpu_matmul.h), and freed memory kept rather than given back to the system, which would
/// clear every page of the next step's tensors anew. A program that this is linked into begins with
/// GOMP_SPINCOUNT set, so that threads that wait for each other soon sleep, unless that or
/// OMP_WAIT_POLICY is set already. Not to be called while another thread multiplies.
void tune_cpu();

}  // namespace crescendo
