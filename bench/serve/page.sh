#!/bin/sh
# SPDX-License-Identifier: MIT
# What a visitor of the page waits for: bytes of the page, first result, live images per second, in headless Chromium: sh bench/serve/page.sh [PROGRAM]
# Time of a request without an image on a kept connection, which is all that a WebSocket could save, comes last.
set -eu
cd "$(dirname "$0")/../.."
mien=${1:-build/release/mien}
python=$(sh tests/page_venv.sh)
echo "page: $(cat src/serve/page/page.html src/serve/page/page.css src/serve/page/page.js src/serve/page/device.js | wc -c) bytes (page.html, page.css, page.js, device.js), gzipped $(cat src/serve/page/page.html src/serve/page/page.css src/serve/page/page.js src/serve/page/device.js | gzip -9 | wc -c)"
echo "load average: $(cut -d' ' -f1 /proc/loadavg)"
"$python" -m pytest -q -s tests/e2e/test_page.py --mien "$mien"
"$mien" serve --listen 127.0.0.1:8096 -q 2>/dev/null &
service=$!
trap 'kill $service 2>/dev/null || true' EXIT
sleep 1
"$python" - <<'PYTHON'
import http.client, time
connection = http.client.HTTPConnection("127.0.0.1", 8096)
times = []
for _ in range(3000):
    start = time.perf_counter()
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    times.append(1e3 * (time.perf_counter() - start))
times.sort()
print(f"/healthz on a kept connection: p50 {times[1500]:.2f} ms, p99 {times[2970]:.2f} ms")
PYTHON
