#!/usr/bin/env bash
# Runs a program as two ranks on each of two hosts: on_hosts.sh PROGRAM [ARGUMENT...]
# The hosts are network namespaces of this machine, with a cable between them and names of their own.
# Exits with 77, which CTest takes as skipped, where they cannot be made.
set -euo pipefail
[ "${1-}" != --rsh ] || {  # mpirun starts its daemon on the other host through us
  host=$3
  space=$2-$host
  shift 3
  exec ip netns exec "$space" unshare --uts bash -c "hostname $host; $*"
}
for tool in mpirun ip unshare; do
  command -v "$tool" >/dev/null || {
    echo "skipped: no $tool (openmpi-bin, iproute2, util-linux)"
    exit 77
  }
done
spaces=crescendo-$$
ip netns add "$spaces-node1" 2>/dev/null || {
  echo "skipped: no network namespaces here"
  exit 77
}
trap 'ip netns del "$spaces-node1"; ip netns del "$spaces-node2" 2>/dev/null' EXIT
ip netns add "$spaces-node2"
ip link add veth1 netns "$spaces-node1" type veth peer name veth2 netns "$spaces-node2"
for i in 1 2; do
  ip -n "$spaces-node$i" addr add "10.77.0.$i/24" dev "veth$i"
  ip -n "$spaces-node$i" link set "veth$i" up
  ip -n "$spaces-node$i" link set lo up
done
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_plm_rsh_agent="$(realpath "$0") --rsh $spaces" OMPI_MCA_plm_rsh_no_tree_spawn=1
export OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_oob_tcp_if_include=10.77.0.0/24
ip netns exec "$spaces-node1" unshare --uts \
  bash -c 'hostname node1; exec mpirun --host node1:2,node2:2 -n 4 --bind-to none "$@"' mpirun "$@"
