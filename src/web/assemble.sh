#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts the npm package into build/npm and the page for any web server into build/web, from the two modules that `make wasm` built.
set -eu
cd "$(dirname "$0")/../.."
npm=build/npm web=build/web
rm -rf "$npm" "$web"
mkdir -p "$npm" "$web"
# The linker makes them executable; nobody executes them.
install -m 644 build/wasm/src/web/mien.wasm "$npm/mien.wasm"
install -m 644 build/wasm-simd/src/web/mien.wasm "$npm/mien-simd.wasm"
cp src/web/mien.js src/web/mien.d.ts LICENSE THIRD_PARTY.md "$npm"
cp docs/BROWSER.md "$npm/README.md"
sed "s/^{$/{\n  \"version\": \"$(sh tools/version.sh)\",/" src/web/package.json >"$npm/package.json"
# The weights that are inside the programs, too: those without a variant in their name. The cascade
# is only loaded by pages that ask for it, so a first visit does not keep it.
weights= visited=
for file in weights/*.mien; do
    case $file in *-*) continue ;; esac
    cp "$file" "$npm"
    case $file in weights/haarcascade*) continue ;; esac
    weights="$weights'${file#weights/}', "
    visited="$visited $npm/${file#weights/}"
done
cp "$npm"/*.wasm "$npm"/*.mien "$npm/mien.js" "$web"
cp src/serve/page/page.css src/serve/page/page.js src/serve/page/device.js src/serve/page/device-worker.js src/web/sw.js "$web"
# A folder has no service behind it: the page begins on this device.
sed 's/<html lang="en">/<html lang="en" data-static>/' src/serve/page/page.html > "$web/index.html"
# The service worker keeps these files under a name that changes with them.
stamp=$(cat "$web"/* | sha256sum | cut -c1-16)
sed -i "s/'mien-cache'/'mien-$stamp'/; s/^const WEIGHTS = \[\];/const WEIGHTS = [${weights%, }];/" "$web/sw.js"
echo "$npm: $(cat "$npm"/*.wasm "$npm"/*.mien "$npm"/mien.js | wc -c) bytes with both modules; a page loads $(cat "$npm"/mien-simd.wasm $visited "$npm"/mien.js | wc -c), gzipped $(for f in "$npm"/mien-simd.wasm $visited "$npm"/mien.js; do gzip -9c "$f"; done | wc -c); the cascade gzipped $(gzip -9c "$npm"/haarcascade*.mien | wc -c)"
