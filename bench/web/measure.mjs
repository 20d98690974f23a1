// SPDX-License-Identifier: MIT
// What is measured, the same in Node and in a browser: mien with and without vectors and, where it is given, the peer, in turns, so that
// a slow minute of the machine hits all alike. `open` opens a contender: it resolves to {process, detect, read, readAll}, functions of one
// frame or of one cut-out face, which say how many faces there are or what the face shows.

const now = () => performance.now();
const least = values => Math.min(...values);
const median = values => [...values].sort((a, b) => a - b)[values.length >> 1];

/** rgba, face: {data, width, height}, of the frame and of one face cut out of it. */
export async function measure(contenders, rgba, face, rounds) {
  const rows = [];
  for (const {name, open} of contenders) {
    const start = now(), calls = await open(), loaded = now();
    const faces = await calls.process(rgba);
    rows.push({name, load: loaded - start, first: now() - start, faces, label: await calls.read(face), calls, times: {}});
  }
  for (let round = 0; round < rounds + 2; round++)
    for (const row of rows)
      for (const what of ['process', 'detect', 'read', 'readAll']) {
        if (!row.calls[what]) continue;
        const picture = what.startsWith('read') ? face : rgba, start = now();
        await row.calls[what](picture);
        if (round >= 2) (row.times[what] ??= []).push(now() - start);  // two to warm up
      }
  return rows.map(({name, load, first, faces, label, times}) => ({name, load, first, faces, label,
    ms: Object.fromEntries(Object.entries(times).map(([what, values]) => [what, {min: least(values), median: median(values)}]))}));
}

export function mien(load, simd) {
  return {name: simd ? 'mien, SIMD128' : 'mien, plain', open: async () => {
    const engine = await load({simd, detector: 'haar'}), emotion = await load({simd, detector: 'haar', gender: null});
    return {process: picture => engine.process(picture).length, detect: picture => engine.detect(picture).length,
            read: face => emotion.classifyCrop(face).emotion.label, readAll: face => engine.classifyCrop(face).gender.label};
  }};
}

/** @vladmandic/face-api: its small detector at its ready-made size of 416, and its expression network. `models(net)` loads a network's weights. */
export function faceApi(faceapi, backend, prepare, models) {
  return {name: `face-api, TensorFlow.js ${backend}`, open: async () => {
    const {tf, nets} = faceapi;
    await prepare(tf);
    if (!await tf.setBackend(backend)) throw new Error(`TensorFlow.js has no backend ${backend} here`);
    await tf.ready();
    await models(nets.tinyFaceDetector);
    await models(nets.faceExpressionNet);
    const options = new faceapi.TinyFaceDetectorOptions({inputSize: 416});
    const tensors = new Map();  // pixels become a tensor once: what is measured is the work on it
    const tensor = ({data, width, height}) => {
      if (!tensors.has(data)) tensors.set(data, tf.tensor3d(Int32Array.from({length: width * height * 3}, (_, i) => data[(i / 3 | 0) * 4 + i % 3]), [height, width, 3], 'int32'));
      return tensors.get(data);
    };
    return {process: async picture => (await faceapi.detectAllFaces(tensor(picture), options).withFaceExpressions()).length,
            detect: async picture => (await faceapi.detectAllFaces(tensor(picture), options)).length,
            read: async face => (await nets.faceExpressionNet.predictExpressions(tensor(face))).asSortedArray()[0].expression};
  }};
}
