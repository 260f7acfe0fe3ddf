#!/usr/bin/env bash
# Runs diffusers_test.py where `scripts/setup --reference` has put diffusers; exit code 77, skipped, elsewhere.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../../.deps/reference/bin/python
[ -x "$python" ] || exit 77
exec "$python" "$here/diffusers_test.py" "$1"
