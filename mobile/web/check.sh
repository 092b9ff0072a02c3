#!/usr/bin/env bash
# Tests the page: pure modules with Node, the rest in Chromium. What cannot be had is skipped.
set -euo pipefail
cd "$(dirname "$0")"

skip() {
    echo "mobile/web: skipped $1"
    exit 0
}

command -v node >/dev/null || skip "all tests (no node)"
node --test --test-reporter=dot test/*.test.js
command -v npm >/dev/null || skip "the browser tests (no npm)"
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$browser" ] || skip "the browser tests (no Chromium)"
npm ci --no-audit --no-fund --silent || skip "the browser tests (npm cannot fetch the runtime)"
CHROMIUM=$browser PYTHON=${PYTHON:-python3} \
    node --test --test-reporter=dot --test-concurrency=3 test/browser/*.test.js
