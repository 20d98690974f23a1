// SPDX-License-Identifier: MIT
// What is tried of mien.js, the same in Node and in a browser: the engine's answers bit for bit, bad input, and memory that stays.
// `golden`: [{name, width, height, format, data (Uint8Array), heads: [name...],
// faces: [[x, y, width, height, neighbors, [[bits...], unsure, [bits of value, low, high]] of each
// head...]], json?, net?}] of the native engine;
// `net`: faces by the detector network, with score and [landmarks...], in bits, before the heads;
// `json`: the faces as every other writer gives them out.

// What a head says, as `golden` has it; one without network says nothing.
const answer = reading => reading === null ? [[], 0, []] :
  [bits(reading.probabilities), Number(reading.unsure), reading.value === null ? [] : bits([reading.value, reading.low, reading.high])];

const bits = values => [...new Uint32Array(new Float32Array(values).buffer)];

function assert(true_, text) { if (!true_) throw new Error(text); }
async function refused(what, pattern) {
  try {
    await what();
  } catch (error) {
    assert(error.name === 'MienError' && pattern.test(error.message), `another message: ${error.name}: ${error.message}`);
    return;
  }
  throw new Error(`not refused: ${pattern}`);
}

export async function run({load, hasSimd}, golden, options = {}) {
  const log = [];
  let largest = [1, 1];
  for (const {width, height} of golden) largest = [Math.max(largest[0], width), Math.max(largest[1], height)];
  for (const simd of [true, false]) {
    if (simd && !hasSimd()) throw new Error('no vectors here');
    const engine = await load({...options, simd, detector: 'haar', maxWidth: largest[0], maxHeight: largest[1]});
    assert(engine.isa === (simd ? 'simd128' : 'scalar'), engine.isa);
    const memory = engine.memoryBytes;
    let count = 0;
    for (let round = 0; round < 3; round++) {
      for (const picture of golden) {
        const faces = engine.process(picture).map(face => [face.box.x, face.box.y, face.box.width, face.box.height, face.neighbors,
          ...picture.heads.map(head => answer(face[head]))]);
        assert(JSON.stringify(faces) === JSON.stringify(picture.faces),
               `${engine.isa} ${picture.name}: ${JSON.stringify(faces)} instead of ${JSON.stringify(picture.faces)}`);
        if (picture.json) {
          const text = JSON.stringify(engine.process(picture), (key, value) => value === null ? undefined : value);  // heads that are off
          assert(text === JSON.stringify(picture.json), `${picture.name} as JSON: ${text}`);
        }
        count += faces.length;
      }
    }
    assert(count > 0, 'no faces');
    const first = engine.process(golden[0]), face = first[0];
    assert(engine.process(golden[0]) === first && first[0] === face, 'results are new objects');
    assert(engine.memoryBytes === memory, `memory grew from ${memory} to ${engine.memoryBytes}`);
    log.push(`${engine.isa}: ${count} faces of ${golden.length} images, bit for bit; ${memory} bytes`);

    const data = new Uint8ClampedArray(4 * 40 * 40);
    await refused(() => engine.process({data, width: 0, height: 0}), /0 by 0/);
    await refused(() => engine.process({data, width: 41, height: 40}), /has 6560 bytes, these are 6400/);
    await refused(() => engine.process({data, width: 40, height: 40, stride: 10}), /does not fit/);
    await refused(() => engine.process({data, width: 40, height: 40, format: 99}), /pixel format/);
    await refused(() => engine.process(null), /not an image/);
    await refused(() => engine.process({data, width: 1e9, height: 1, stride: 4}), /does not fit|cannot be read|has \d+ bytes/);
    await refused(() => engine.resize(0, 5), /0 by 5/);
    await refused(() => engine.processFrame({visibleRect: null}), /closed/);
    assert(engine.process({data, width: 40, height: 40}).length === 0, 'the engine goes on after bad input');
    assert(engine.process(golden[0]).length === golden[0].faces.length, 'and finds faces');
  }
  for (const simd of [true, false]) {
    const engine = await load({...options, simd, enlargeTo: 0, maxWidth: 64, maxHeight: 64});
    let count = 0;
    for (const picture of golden.filter(picture => picture.net)) {
      const faces = engine.process(picture).map(face => [face.box.x, face.box.y, face.box.width, face.box.height, face.neighbors,
        ...bits([face.score]), bits(face.landmarks.flat()), ...picture.heads.map(head => answer(face[head]))]);
      assert(JSON.stringify(faces) === JSON.stringify(picture.net),
             `network, ${engine.isa} ${picture.name}: ${JSON.stringify(faces)} instead of ${JSON.stringify(picture.net)}`);
      count += faces.length;
    }
    assert(count > 0, 'the network finds nothing');
    log.push(`${engine.isa}: ${count} faces by the network, bit for bit; ${engine.memoryBytes} bytes`);
  }
  const shy = await load({...options, minConfidence: 1}), calm = await load({...options, minConfidence: 0});
  for (const picture of golden) {
    for (const face of shy.process(picture)) assert(face.emotion.unsure && face.emotion.toJSON().unsure && face.emotion.label, 'minConfidence: 1');
    for (const face of calm.process(picture)) assert(!face.emotion.unsure && face.emotion.value === null, 'minConfidence: 0');
  }
  await refused(() => load({...options, minConfidence: 2}), /out of range/);
  const strict = await load({...options, minScore: 1});
  assert(golden.every(picture => strict.process(picture).length === 0), 'minScore is not heeded');
  await refused(() => load({...options, detector: 'mtcnn'}), /mtcnn/);
  await refused(() => load({...options, detector: 'haar', minScore: 0.5}), /minScore is an option of detector "net"/);
  await refused(() => load({...options, detector: 'net', minNeighbors: 3}), /minNeighbors is an option of detector "haar"/);
  await refused(() => load({...options, minScore: 0.5, scaleFactor: 1.1}), /minScore is an option of detector "net"/);
  await refused(() => load({...options, net: 'nosuch.mien'}), /nosuch\.mien/);
  await refused(() => load({...options, detector: 'net', net: new Uint8Array(1000).fill(7)}), /cut short or altered/);
  const cut = new Uint8Array(1000).fill(7);
  await refused(() => load({...options, emotion: cut}), /cut short or altered/);
  await refused(() => load({...options, cascade: new Uint8Array(0)}), /cut short|\.mien/);
  await refused(() => load({...options, wasm: cut}), /cannot be used/);
  await refused(() => load({...options, gender: 'nosuch.mien'}), /nosuch\.mien/);
  await refused(() => load({...options, scaleFactor: 0.5}), /out of range/);
  await refused(() => load({...options, scaleFactor: NaN}), /no number/);
  await refused(() => load({...options, maxWidth: 8193, maxHeight: 64}), /8193 by 64 pixels cannot be read/);
  const boxes = await load({...options, detector: 'haar', ...Object.fromEntries(golden[0].heads.map(head => [head, null]))});
  assert(boxes.process(golden[0]).every(face => golden[0].heads.every(head => face[head] === null)), 'boxes alone');
  const kept = globalThis.WebAssembly;
  try {
    Object.defineProperty(globalThis, 'WebAssembly', {value: undefined, configurable: true, writable: true});
    assert(hasSimd() === false, 'hasSimd() without WebAssembly');
    await refused(() => load(options), /no WebAssembly/);
  } finally {
    Object.defineProperty(globalThis, 'WebAssembly', {value: kept, configurable: true, writable: true});
  }
  return log;
}

// golden.json keeps pixels as base64.
export function unpack(text) {
  return JSON.parse(text).map(picture => ({...picture, data: Uint8Array.from(atob(picture.data), c => c.charCodeAt(0))}));
}
