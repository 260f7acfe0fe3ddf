#!/usr/bin/env bash
# Runs scripts/setup on machines where something is missing: each is one clear line and exit code 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# A fresh clone in $work/clone, on a machine where the commands in $work/fakes stand before the real ones.
fresh() {
  rm -rf "${work:?}"/*
  mkdir -p "$work/clone/scripts" "$work/fakes"
  cp scripts/setup "$work/clone/scripts/"
  fake dpkg-query 'echo installed'
  fake python3 'exit 1' # no torch there; the script's own Python is /usr/bin/python3
}

fake() {
  printf '#!/bin/sh\n%s\n' "$2" >"$work/fakes/$1"
  chmod +x "$work/fakes/$1"
}

# Runs setup with the given environment and arguments and compares its last line and exit code.
expect() {
  local code=$1 pattern=$2 output status=0
  shift 2
  output=$(env -u CMAKE_PREFIX_PATH PATH="$work/fakes:$PATH" "$@" </dev/null 2>&1) || status=$?
  # shellcheck disable=SC2053  # the right side is a pattern
  if [ "$status" != "$code" ] || [[ $(tail -n 1 <<<"$output") != $pattern ]]; then
    printf 'expected exit code %s and: %s\nfound exit code %s and:\n%s\n\n' "$code" "$pattern" "$status" "$output"
    failures=$((failures + 1))
  fi
}

setup=$work/clone/scripts/setup

fresh
expect 1 "setup: unknown arguments '--refrence'; expected nothing or --reference" "$setup" --refrence

fresh
fake dpkg-query 'exit 1'
fake id 'echo 1000'
fake sudo 'exit 1'
expect 1 "setup: cannot install packages: sudo asks for a password, and there is no terminal; ask an administrator to run: apt-get install g++ *" "$setup"

fresh
fake dpkg-query 'exit 1'
fake id 'echo 0'
fake apt-get 'echo "E: Unable to locate package g++"; exit 100'
expect 1 "setup: apt-get update failed: E: Unable to locate package g++ (is the network reachable? all of it: .deps/setup.log)" "$setup"

fresh
fake df 'echo Filesystem; echo "/dev/x 100 50 1500000 50% /"'
expect 1 "setup: not enough disk for LibTorch and the text encoder: expected 3 GB free in $work/clone, found 1 GB" "$setup"

fresh
mkdir -p "$work/nopip/pip"
echo 'raise ImportError' >"$work/nopip/pip/__init__.py"
expect 1 "setup: /usr/bin/python3 has no pip; expected the package python3-pip to provide it" env PYTHONPATH="$work/nopip" "$setup"

fresh
expect 1 "setup: pip install failed: ERROR: Could not find a version that satisfies the requirement torch==* (is the network reachable? *" \
  env PIP_CONFIG_FILE=/dev/null PIP_INDEX_URL=http://127.0.0.1:9/ PIP_EXTRA_INDEX_URL='' PIP_RETRIES=0 "$setup"
[ ! -e "$work/clone/.deps/python" ] || { echo "a failed fetch left .deps/python behind" && failures=$((failures + 1)); }

# An existing LibTorch is used, and what is complete is not fetched again.
fresh
mkdir -p "$work/libtorch/lib" "$work/libtorch/include/torch/csrc/api/include/torch" "$work/clone/.deps/python"
touch "$work/libtorch/lib/libtorch_cpu.so" "$work/libtorch/include/torch/csrc/api/include/torch/types.h"
sed -n 's/^readonly MODEL_PINS="\(.*\)"$/\1/p' scripts/setup >"$work/clone/.deps/python/.pins"
expect 0 "setup: ready; LibTorch is $work/libtorch" env CMAKE_PREFIX_PATH="/nowhere:$work/libtorch" "$setup"
expect 0 "setup: ready; LibTorch is $work/libtorch" "$setup"

[ "$failures" = 0 ]
