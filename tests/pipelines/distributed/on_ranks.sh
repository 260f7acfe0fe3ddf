#!/usr/bin/env bash
# Runs a program as N ranks on this machine: on_ranks.sh N PROGRAM [ARGUMENT...]
# Exits with 77, which CTest takes as skipped, where there is no mpirun.
set -euo pipefail
ranks=$1
shift
command -v mpirun >/dev/null || {
  echo "skipped: no mpirun (openmpi-bin)"
  exit 77
}
# More ranks than cores, as root, in a container, without a network: as tests run.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_btl=self,vader,tcp
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_tcp_if_include=lo
exec mpirun -n "$ranks" --oversubscribe --bind-to none "$@"
