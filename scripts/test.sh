#!/usr/bin/env bash
# Installs and builds what is missing, and passes all tests. Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh || { echo "0 passed, 1 failed"; exit 1; }
exec python3 test/run.py "$@"
