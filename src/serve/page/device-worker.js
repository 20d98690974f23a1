// SPDX-License-Identifier: MIT
// mien beside the page: images in, results as the service gives them out. One engine; its memory stays.
import {load} from './mien.js';

const LARGEST = 4096;  // longer sides are shrunk: an engine's memory grows with the image
let engine = null, canvas = null, pen = null;

function result(faces, width, height, start) {
  const ms = performance.now() - start;
  return {schema: 2, width, height, timing_ms: {total: ms},
          faces: faces.map(({box, neighbors, score, landmarks, ...heads}) => ({box: {...box}, neighbors,
            ...(landmarks && {score, landmarks: landmarks.map(point => [...point])}),
            ...Object.fromEntries(Object.entries(heads).filter(([, reading]) => reading).map(([head, reading]) => [head, reading.toJSON()]))}))};
}

function draw(image) {
  const shrink = Math.min(1, LARGEST / Math.max(image.width, image.height));
  const width = Math.max(1, Math.round(image.width * shrink)), height = Math.max(1, Math.round(image.height * shrink));
  if (!canvas || canvas.width !== width || canvas.height !== height) {
    canvas = new OffscreenCanvas(width, height);
    pen = canvas.getContext('2d', {willReadFrequently: true, alpha: false});
  }
  pen.drawImage(image, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height);
}

async function annotated(answer) {
  pen.lineWidth = Math.max(2, canvas.width / 300);
  pen.font = '600 ' + Math.max(12, Math.round(canvas.width / 50)) + 'px system-ui, sans-serif';
  for (const face of answer.faces) {
    pen.strokeStyle = '#fff';
    pen.strokeRect(face.box.x, face.box.y, face.box.width, face.box.height);
    const reading = Object.values(face).find(value => value && value.probabilities);
    const text = !reading ? '' : reading.value !== undefined ? (Math.round(reading.value) + ' ' + reading.unit).trim() : reading.unsure ? 'unsure' : reading.label;
    pen.lineJoin = 'round';
    pen.strokeStyle = '#000';
    pen.strokeText(text, face.box.x, face.box.y - 6);
    pen.fillStyle = '#fff';
    pen.fillText(text, face.box.x, face.box.y - 6);
  }
  const bytes = new Uint8Array(await (await canvas.convertToBlob({type: 'image/png'})).arrayBuffer());
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return {media_type: 'image/png', base64: btoa(binary)};
}

async function answer(message) {
  if (message.kind === 'load') {
    engine = await load(message.options);
    return {isa: engine.isa, version: engine.version, memory: engine.memoryBytes};
  }
  if (message.kind === 'frame') {
    const start = performance.now(), {frame} = message;
    try {
      const {visibleRect} = frame;
      const faces = await engine.processFrame(frame);
      return result(faces, visibleRect.width, visibleRect.height, start);
    } finally {
      frame.close();
    }
  }
  let image = message.bitmap;
  if (!image) {
    try {
      image = await createImageBitmap(message.blob);
    } catch {
      throw new Error('This is not an image in a known format.');
    }
  }
  const pixels = draw(image), start = performance.now();
  image.close();
  const done = result(engine.process(pixels), pixels.width, pixels.height, start);
  if (message.annotate) done.annotated = await annotated(done);
  return done;
}

// One after the other: the engine and the canvas are shared.
let last = Promise.resolve();
onmessage = event => {
  last = last.then(() => answer(event.data)).then(
    value => postMessage({id: event.data.id, value, memory: engine?.memoryBytes}),
    error => postMessage({id: event.data.id, error: error.message}));
};
