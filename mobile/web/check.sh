#!/usr/bin/env bash
# Tests the page: pure modules with Node, the rest in Chromium and in WebKit. What cannot be had is skipped.
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
export CHROMIUM=$browser PYTHON=${PYTHON:-python3}
node --test --test-reporter=dot --test-concurrency=3 test/browser/*.test.js
MINIBROWSER=$(find /usr/lib/*/webkit2gtk-4.1 -name MiniBrowser 2>/dev/null | head -1 || true)
export MINIBROWSER
{ [ -n "$MINIBROWSER" ] && command -v WebKitWebDriver >/dev/null && command -v xvfb-run >/dev/null; } ||
    skip "WebKit (apt-get install webkit2gtk-driver xvfb xauth)"
xvfb-run --auto-servernum node --test --test-reporter=dot test/webkit/*.test.js
