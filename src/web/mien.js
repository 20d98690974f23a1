// SPDX-License-Identifier: MIT
// mien in a web page, a worker or Node: finds faces and reads their expression, gender and age, on
// this machine. No image leaves it.
//
//   import {load} from './mien.js';
//   const mien = await load();
//   for (const face of mien.process(imageData)) console.log(face.box, face.emotion.label);
//
// Loads mien-simd.wasm, or mien.wasm where the browser has no vectors, and four files of weights
// from beside this file: those of
// one detector, a network or with load({detector: 'haar'}) OpenCV's cascade, and of three heads. After
// load() images allocate nothing here: results are objects that the next call writes again (copy what you keep).

export class MienError extends Error {
  constructor(message, options) { super(message, options); this.name = 'MienError'; }
}

export const GRAY8 = 0, RGB24 = 1, BGR24 = 2, RGBA32 = 3, BGRA32 = 4, YUYV = 5, UYVY = 6, NV12 = 7;
const PIXEL_BYTES = [1, 3, 3, 4, 4, 2, 2, 1];  // by format
const LARGEST = 8192;  // of 8192 by 8192 pixels all addresses stay below 2 GB
const CASCADE = 'haarcascade_frontalface_default.mien', NET = 'detector.mien';

// The smallest module that has a vector instruction: () -> v128, i32.const 0, i8x16.splat.
const PROBE = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11]);

/** Whether this browser has WebAssembly's 128-bit vectors. */
export function hasSimd() {
  try {
    return typeof WebAssembly === 'object' && WebAssembly.validate(PROBE);
  } catch {
    return false;
  }
}

// `optional`: null for a file that is not there.
async function bytesOf(url, optional = false) {
  if (url.protocol === 'file:') {  // Node
    const {readFile} = await import('node:fs/promises');
    try {
      return await readFile(url);
    } catch (error) {
      if (optional && error.code === 'ENOENT') return null;
      throw new MienError(`${url.pathname}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`, {cause: error});
    }
  }
  let answer;
  try {
    answer = await fetch(url);
  } catch (error) {
    throw new MienError(`${url}: cannot be loaded (${error.message})`, {cause: error});
  }
  if (optional && answer.status === 404) return null;
  if (!answer.ok) throw new MienError(`${url}: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

function textAt(memory, place) {
  const bytes = new Uint8Array(memory.buffer);
  return new TextDecoder().decode(bytes.slice(place, bytes.indexOf(0, place)));
}

// The names of the heads, by their number in the engine; the weights of each are NAME.mien.
function headsOf(code) {
  const names = [];
  for (let name; (name = textAt(code.memory, code.mien_web_head_name(names.length)));) names.push(name);
  return names;
}

/** Loads the module and the weights, and opens an engine for images up to maxWidth x maxHeight. */
export async function load(options = {}) {
  if (typeof WebAssembly !== 'object') throw new MienError('This browser has no WebAssembly.');
  const base = new URL(options.base || '.', options.base ? globalThis.location?.href ?? import.meta.url : import.meta.url);
  const simd = options.simd ?? hasSimd();
  const part = (given, name) => given === null ? null : given === undefined ? bytesOf(new URL(name, base)) :
    typeof given === 'string' || given instanceof URL ? bytesOf(new URL(given, base)) : given;
  const given = names => names.find(name => options[name] !== undefined);
  const ofHaar = given(['cascade', 'scaleFactor', 'minNeighbors']), ofNet = given(['net', 'minScore', 'enlargeTo']);
  const kind = options.detector ?? (ofHaar ? 'haar' : 'net');
  if (kind !== 'haar' && kind !== 'net') throw new MienError(`There is no detector "${kind}": it is "net" or "haar".`);
  const [wrong, other] = kind === 'net' ? [ofHaar, 'haar'] : [ofNet, 'net'];
  if (wrong) throw new MienError(`${wrong} is an option of detector "${other}", not of "${kind}".`);
  const detector = kind === 'net' ? part(options.net, NET) : part(options.cascade, CASCADE);
  detector?.catch?.(() => {});  // told below, once the module is there
  const code = await part(options.wasm, simd ? 'mien-simd.wasm' : 'mien.wasm');
  let instance;
  try {
    const module = code instanceof WebAssembly.Module ? code : await WebAssembly.compile(code);
    instance = await WebAssembly.instantiate(module, {});
  } catch (error) {
    if (error instanceof WebAssembly.CompileError && /Content Security Policy|unsafe-eval/i.test(error.message))
      throw new MienError("The page's content security policy forbids WebAssembly; it needs script-src 'wasm-unsafe-eval'.", {cause: error});
    throw new MienError('The WebAssembly module cannot be used: ' + error.message, {cause: error});
  }
  // A head whose weights are not beside this file is off.
  const networks = headsOf(instance.exports).map(name => options[name] === undefined ? bytesOf(new URL(name + '.mien', base), true) : part(options[name]));
  return new Mien(instance, await Promise.all([detector, ...networks]), {...options, detector: kind});
}

/**
 * One head's answer: label, and the probability of each label, in the order of `labels`; unsure:
 * it is not probable enough to be named.
 * A quantity has value, low, high and unit; else value is null.
 */
class Reading {
  constructor(labels, unit, number = null) {
    this.labels = labels;
    this.probabilities = new Float32Array(labels.length);
    this.label = '';
    this.unsure = false;
    this.value = this.low = this.high = number;
    this.unit = unit;
  }
  toJSON() {
    const answer = this.value === null ? {label: this.label, unsure: this.unsure} : {value: tenths(this.value), range: [tenths(this.low), tenths(this.high)], unit: this.unit};
    return {...answer, probabilities: Object.fromEntries(this.labels.map((label, i) => [label, Math.round(this.probabilities[i] * 1e6) / 1e6]))};
  }
}

// A class of its own, whose fields are numbers from the start: where a field has held null as well,
// every number written to it takes memory.
class QuantityReading extends Reading {
  constructor(labels, unit) { super(labels, unit, .5); }
}

const tenths = value => Math.sign(value) * Math.round(Math.abs(value) * 10) / 10;

export class Mien {
  #code; #memory; #bytes; #words; #floats; #heads; #labels; #units; #pool = []; #readings = []; #lists = []; #room; #options; #capacity; #net;

  constructor(instance, files, options) {
    this.#net = options.detector === 'net';
    this.#code = instance.exports;
    this.#memory = instance.exports.memory;
    files.forEach((file, i) => {
      if (!file) return;
      const view = ArrayBuffer.isView(file) ? new Uint8Array(file.buffer, file.byteOffset, file.byteLength) : new Uint8Array(file);
      const place = this.#code.mien_web_weights(i > 0 ? i - 1 : this.#net ? -2 : -1, view.length);
      if (place === 0) throw new MienError('The browser gives no memory for the weights.');
      new Uint8Array(this.#memory.buffer).set(view, place);
    });
    this.#options = {scaleFactor: 1.3, minNeighbors: 5, minSize: 0, maxSize: 0, detectWidth: 0, maxFaces: 256, minScore: 0, enlargeTo: 640, minConfidence: -1};
    for (const name of Object.keys(this.#options)) {
      if (options[name] === undefined) continue;
      if (!Number.isFinite(options[name])) throw new MienError(`${name} is no number`);
      this.#options[name] = options[name];
    }
    this.#heads = headsOf(this.#code);
    this.#labels = this.#heads.map(() => []);
    this.resize(options.maxWidth ?? 640, options.maxHeight ?? 480);
  }

  /** "simd128" or "scalar". */
  get isa() { return this.#text(this.#code.mien_web_isa()); }
  get version() { return this.#text(this.#code.mien_web_version()); }
  /** Bytes of memory; the same after any number of images. */
  get memoryBytes() { return this.#memory.buffer.byteLength; }
  get maxWidth() { return this.#capacity[0]; }
  get maxHeight() { return this.#capacity[1]; }
  get emotions() { return this.labels('emotion'); }
  get genders() { return this.labels('gender'); }
  /** The labels of a head, 'emotion' for example; none without its network. */
  labels(head) { return this.#labels[this.#heads.indexOf(head)] ?? []; }

  /** For other sizes of images: the engine is opened again. Takes memory where they are larger; the only call that does. */
  resize(maxWidth, maxHeight) {
    if (!Number.isInteger(maxWidth) || !Number.isInteger(maxHeight) || maxWidth < 1 || maxHeight < 1 || maxWidth > LARGEST || maxHeight > LARGEST)
      throw new MienError(`An image of ${maxWidth} by ${maxHeight} pixels cannot be read.`);
    const o = this.#options;
    this.#capacity = [0, 0];
    const status = this.#code.mien_web_open(maxWidth, maxHeight, o.scaleFactor, o.minNeighbors, o.minSize, o.maxSize, o.detectWidth, o.maxFaces,
                                              o.minScore, this.#net ? o.enlargeTo : 0, o.minConfidence);
    const buffer = this.#memory.buffer;
    this.#bytes = new Uint8ClampedArray(buffer);
    this.#words = new Int32Array(buffer);
    this.#floats = new Float32Array(buffer);
    this.#check(status);
    this.#capacity = [maxWidth, maxHeight];
    const place = this.#code.mien_web_pixels();
    this.#room = this.#bytes.subarray(place, place + maxWidth * maxHeight * 4);
    this.#labels = this.#heads.map((name, head) => {
      const labels = [];
      for (let text; labels.length < 64 && (text = this.#text(this.#code.mien_web_label(head, labels.length)));) labels.push(text);
      return labels;
    });
    this.#units = this.#heads.map((name, head) => this.#text(this.#code.mien_web_unit(head)));
    this.#pool.length = this.#readings.length = this.#lists.length = 0;
  }

  /** Faces of an image, each with box, neighbors, of the network score and five landmarks [x, y], and a reading by the name of each head. ImageData, or a canvas, or {data, width, height, format?, stride?}. */
  process(picture) { return this.#run(0, picture); }
  /** Boxes only. */
  detect(picture) { return this.#run(1, picture); }
  /** The image is one face, cut out as the detector would: its readings. */
  classifyCrop(picture) { return this.#run(2, picture)[0]; }

  /** Faces of a VideoFrame, whose pixels go straight into the engine. The caller closes the frame. */
  async processFrame(frame) {
    // visibleRect is null for a closed frame.
    const rect = frame.visibleRect, width = rect ? rect.width : 0, height = rect ? rect.height : 0;
    if (width < 1 || height < 1) throw new MienError('The video frame is closed or empty.');
    this.#fit(width, height);
    const planar = frame.format && /^(I420|I422|I444|NV12)/.test(frame.format);  // the first plane is the gray image, as in the native engine
    if (planar) {
      const layout = await frame.copyTo(this.#room, {rect});
      return this.#answer(this.#code.mien_web_run(0, width, height, layout[0].stride, GRAY8));
    }
    const format = frame.format === 'RGBA' || frame.format === 'RGBX' ? RGBA32 : frame.format === 'BGRA' || frame.format === 'BGRX' ? BGRA32 : -1;
    if (format < 0) throw new MienError(`The video frame's format ${frame.format} cannot be read.`);
    const layout = await frame.copyTo(this.#room, {rect});
    return this.#answer(this.#code.mien_web_run(0, width, height, layout[0].stride, format));
  }

  #fit(width, height) {
    if (width > this.#capacity[0] || height > this.#capacity[1]) this.resize(Math.max(width, this.#capacity[0]), Math.max(height, this.#capacity[1]));
  }

  #run(what, picture) {
    let {data} = picture ?? {}, width = picture?.width, height = picture?.height;
    if (!data && typeof picture?.getContext === 'function') {  // a canvas; the browser makes an ImageData of it
      if (width < 1 || height < 1) throw new MienError(`An image of ${width} by ${height} pixels is empty.`);
      const pen = picture.getContext('2d', {willReadFrequently: true});
      if (!pen) throw new MienError('The canvas is not a 2d one.');
      data = pen.getImageData(0, 0, width, height).data;
    }
    if (!data || !Number.isInteger(width) || !Number.isInteger(height)) throw new MienError('This is not an image: ImageData, a canvas or {data, width, height} is expected.');
    if (width < 1 || height < 1) throw new MienError(`An image of ${width} by ${height} pixels is empty.`);
    const format = picture.format ?? RGBA32;
    const pixel = PIXEL_BYTES[format];
    if (!pixel) throw new MienError(`There is no pixel format ${format}.`);
    const stride = picture.stride ?? width * pixel, bytes = format === NV12 ? stride * (height + ((height + 1) >> 1)) : stride * (height - 1) + width * pixel;
    if (!Number.isInteger(stride) || stride < width * pixel) throw new MienError(`A row of ${width} pixels does not fit in ${stride} bytes.`);
    if (data.length < bytes) throw new MienError(`An image of ${width} by ${height} pixels has ${bytes} bytes, these are ${data.length}.`);
    this.#fit(Math.max(width, Math.ceil(stride / 4)), height);
    this.#room.set(data.length <= this.#room.length ? data : data.subarray(0, this.#room.length));
    return this.#answer(this.#code.mien_web_run(what, width, height, stride, format));
  }

  // Apart from #answer(): a function whose closures hold `this` takes memory at every call.
  #grow() {
    this.#pool.push({box: {x: 0, y: 0, width: 0, height: 0}, neighbors: 0,
                     ...(this.#net ? {score: 0, landmarks: Array.from({length: 5}, () => [.5, .5])} : {}),
                     ...Object.fromEntries(this.#heads.map(name => [name, null]))});
    this.#readings.push(this.#labels.map((labels, head) => {
      const unit = this.#units[head];
      return new (unit ? QuantityReading : Reading)(labels, unit);
    }));
  }

  #answer(status) {
    this.#check(status);
    const count = this.#code.mien_web_count();
    let word = this.#code.mien_web_faces() >> 2;
    while (this.#pool.length < count) this.#grow();
    const step = this.#code.mien_web_face_words(), first = this.#code.mien_web_reading_word(), each = this.#code.mien_web_reading_words();
    for (let i = 0; i < count; i++, word += step) {
      const face = this.#pool[i], words = this.#words;
      face.box.x = words[word];
      face.box.y = words[word + 1];
      face.box.width = words[word + 2];
      face.box.height = words[word + 3];
      face.neighbors = words[word + 4];
      if (this.#net) {
        face.score = this.#floats[word + 5];
        for (let k = 0; k < 10; k++) face.landmarks[k >> 1][k & 1] = this.#floats[word + 7 + k];
      }
      for (let h = 0; h < this.#heads.length; h++) {
        face[this.#heads[h]] = this.#read(this.#readings[i][h], word + first + each * h);
      }
    }
    return this.#lists[count] ??= this.#pool.slice(0, count);  // one list for each count: an array that shrinks and grows takes memory
  }

  #read(reading, at) {
    const count = this.#words[at], place = this.#words[at + 1];
    if (count === 0) return null;
    let best = 0;
    for (let i = 0; i < count; i++) {
      reading.probabilities[i] = this.#floats[(place >> 2) + i];
      if (reading.probabilities[i] > reading.probabilities[best]) best = i;
    }
    reading.label = reading.labels[best];
    reading.unsure = this.#words[at + 2] === 1;
    if (this.#words[at + 3] === 1) {
      reading.value = this.#floats[at + 4];
      reading.low = this.#floats[at + 5];
      reading.high = this.#floats[at + 6];
    }
    return reading;
  }

  #check(status) {
    if (status === 0) return;
    if (status < 0) throw new MienError('The browser gives no memory for images of this size.');
    throw new MienError(this.#text(this.#code.mien_web_message(status)));
  }

  #text(place) { return textAt(this.#memory, place); }
}
