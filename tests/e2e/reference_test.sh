#!/usr/bin/env bash
# reference_test.sh TEST.py CRESCENDO: runs a test of this folder with the Python libraries of
# `scripts/setup --reference`; exit code 77, skipped, without them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../../.deps/reference/bin/python
[ -x "$python" ] || exit 77
exec "$python" "$here/$1" "$2"
