#!/bin/sh
# usage: setup.sh DIR    gets code-server (the VS Code workbench), the Node.js that it needs, a driver and Chromium, once.
# Everything comes from npm and, where no Chromium or Chrome is installed, from the Debian or Ubuntu archive (as root).
set -eu

CODE_SERVER=4.139.1
NODE=24
PLAYWRIGHT=1.65.1

mkdir -p "$1"
cd "$1"
stamp="installed-$CODE_SERVER-$NODE-$PLAYWRIGHT"
if [ ! -e "$stamp" ]; then
    rm -rf node code-server playwright
    mkdir node code-server playwright
    echo '{"private": true}' | tee node/package.json code-server/package.json > playwright/package.json
    (cd node && npm install --no-audit --no-fund --loglevel=error "node@$NODE")
    PATH="$PWD/node/node_modules/node/bin:$PATH"
    NODE_OPTIONS=--use-system-ca # npm's Node.js brings its own list of authorities, the system's may have more
    export PATH NODE_OPTIONS
    # No scripts: they would compile what only the log's writer and the watchdog need.
    (cd code-server && npm install --no-audit --no-fund --loglevel=error --ignore-scripts "code-server@$CODE_SERVER")
    (cd code-server/node_modules/code-server/lib/vscode &&
        npm install --no-audit --no-fund --loglevel=error --omit=dev --ignore-scripts)
    (cd playwright && npm install --no-audit --no-fund --loglevel=error "playwright-core@$PLAYWRIGHT")
    touch "$stamp"
fi

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" > /dev/null; then
        exit 0
    fi
done
if [ "$(id -u)" != 0 ]; then
    echo "the tests of the VS Code client need Chromium: sudo apt-get install chromium" >&2
    exit 1
fi
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core > /dev/null
