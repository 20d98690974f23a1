// SPDX-License-Identifier: MIT
// node --expose-gc allocation.mjs PACKAGE_FOLDER COUNTED.WASM GOLDEN.JSON: a thousand images after set-up take no memory: not from the heap of the
// module (a module whose malloc counts), not from the browser (the memory's size), and not from JavaScript (its heap, with nothing collected meanwhile).
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';
import {unpack} from './cases.mjs';

const [folder, counted, golden] = process.argv.slice(2), FRAMES = 1000;
const {load} = await import(pathToFileURL(`${folder}/mien.js`));
function assert(true_, text) { if (!true_) throw new Error(text); }

// The module's exports are mien.js's own; for their count they are taken on the way.
let exports = null;
const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (...args) => {
  const instance = await instantiate(...args);
  exports = instance.exports;
  return instance;
};
const engine = await load({wasm: readFileSync(counted)});
WebAssembly.instantiate = instantiate;
const before = exports.mien_test_allocations();
exports.mien_test_allocate();
assert(exports.mien_test_allocations() === before + 2, 'the count does not count');

// A face and none in turns, so that lists grow and shrink. The face is cut out with its surroundings: small images, because thousands are many.
const whole = unpack(readFileSync(golden, 'utf8')).find(picture => picture.faces.length === 1 && picture.format === 3);
const [x, y, side] = whole.faces[0], margin = side >> 1;
const left = Math.max(0, x - margin), above = Math.max(0, y - margin);
const face = {width: Math.min(side + 2 * margin, whole.width - left), height: Math.min(side + 2 * margin, whole.height - above)};
face.data = new Uint8ClampedArray(face.width * face.height * 4);
for (let row = 0; row < face.height; row++) {
  const from = 4 * ((above + row) * whole.width + left);
  face.data.set(whole.data.subarray(from, from + 4 * face.width), 4 * row * face.width);
}
const nothing = {width: 64, height: 64, data: new Uint8ClampedArray(4 * 64 * 64)};
let found = 0;
const work = count => { for (let i = 0; i < count; i++) found += engine.process(i % 2 ? nothing : face).length; };
const heap = () => { const {heapUsed, external, arrayBuffers} = process.memoryUsage(); return heapUsed + external + arrayBuffers; };

work(100);
const [allocations, memory] = [exports.mien_test_allocations(), engine.memoryBytes];
// At first JavaScript's own compiler takes memory for what it learns, and may collect some, so the thousand are repeated until it is done. An object takes at
// least 16 bytes: one for each image would be seen in every round.
let grown = Infinity;
for (let round = 0; round < 12 && Math.abs(grown) > FRAMES; round++) {
  globalThis.gc();
  heap();
  const start = heap();
  work(FRAMES);
  grown = heap() - start;
}
assert(found >= FRAMES / 2, 'no faces');
assert(exports.mien_test_allocations() === allocations, `${exports.mien_test_allocations() - allocations} allocations in the module`);
assert(engine.memoryBytes === memory, `the module's memory grew by ${engine.memoryBytes - memory} bytes`);
assert(Math.abs(grown) <= FRAMES, `${grown} bytes of JavaScript's heap for ${FRAMES} images`);
console.log(`node ${engine.isa}: ${FRAMES} images after set-up: 0 allocations, memory stays at ${memory} bytes, JavaScript's heap grew by ${grown} bytes`);
process.exit(0);
