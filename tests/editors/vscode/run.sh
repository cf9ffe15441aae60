#!/bin/sh
# usage: run.sh PYTHON [NAME]    builds, packs and tests the extension; PYTHON has gemma_lsp, NAME chooses among the tests.
set -eu

python=$(command -v "$1")
case "$python" in
/*) ;;
*) python="$PWD/$python" ;; # the server is started in another folder
esac
tests=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tests/../../.." && pwd)
cache="${GEMMA_LSP_VSCODE:-$root/.venv/editors/vscode}"

"$tests/setup.sh" "$cache"
PATH="$cache/node/node_modules/node/bin:$PATH"
export PATH

cd "$root/editors/vscode"
if [ ! -e node_modules/.installed ] || [ package-lock.json -nt node_modules/.installed ]; then
    NODE_OPTIONS=--use-system-ca npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.installed
fi
npm test
npm run package

PYTHON="$python" VSCODE="$cache" exec node --test --test-concurrency=1 --test-reporter=spec \
    ${2:+--test-name-pattern="$2"} "$tests"/*.test.mjs
