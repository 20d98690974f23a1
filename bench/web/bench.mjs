// SPDX-License-Identifier: MIT
// node bench.mjs [PACKAGE_FOLDER]: start-up, milliseconds per 640x480 frame and per face, in Node, with and without vectors. Minima.
// The frame is raw RGBA noise without faces unless FRAME=file (640 x 480 x 4 bytes) names another.
import {readFileSync, statSync, readdirSync} from 'node:fs';
import {gzipSync, brotliCompressSync} from 'node:zlib';
import {resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

const folder = resolve(process.argv[2] ?? 'build/npm');
for (const name of readdirSync(folder).filter(n => /\.(wasm|mien|js)$/.test(n))) {
  const bytes = readFileSync(`${folder}/${name}`);
  console.log(`${name}: ${statSync(`${folder}/${name}`).size} bytes, gzip ${gzipSync(bytes, {level: 9}).length}, brotli ${brotliCompressSync(bytes).length}`);
}
const {load} = await import(pathToFileURL(`${folder}/mien.js`));
const best = (count, work) => {
  let least = Infinity;
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    work();
    least = Math.min(least, performance.now() - start);
  }
  return least.toFixed(3);
};
const data = process.env.FRAME ? readFileSync(process.env.FRAME) : Uint8Array.from({length: 640 * 480 * 4}, (_, i) => i * 7919 >> 8);
for (const simd of [true, false]) {
  const start = performance.now(), engine = await load({simd}), first = performance.now();
  engine.process({data, width: 640, height: 480});
  const face = {data: Uint8Array.from({length: 64 * 64}, (_, i) => i * 31 >> 3), width: 64, height: 64, format: 0};
  console.log(`${engine.isa}: loaded in ${(first - start).toFixed(1)} ms, first result ${(performance.now() - start).toFixed(1)} ms, ` +
    `frame ${best(60, () => engine.process({data, width: 640, height: 480}))} ms, both networks on a face ${best(300, () => engine.classifyCrop(face))} ms, ` +
    `${engine.memoryBytes} bytes of memory`);
}
