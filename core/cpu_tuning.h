#pragma once

namespace crescendo {

/// What every program that computes on the CPU gains from: matrices multiplied as suits it
/// (core/cpu_matmul.h). A program that this is linked into begins with GOMP_SPINCOUNT set, so that
/// threads that wait for each other soon sleep, unless that or OMP_WAIT_POLICY is set already, and
/// its memory is allocated by tcmalloc (CRESCENDO_TCMALLOC). Not to be called while another thread
/// multiplies.
void tune_cpu();

}  // namespace crescendo
