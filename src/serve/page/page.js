// SPDX-License-Identifier: MIT
// The page: photos and webcam in, boxes, bars and a timeline out. Names of files and labels only ever become text, never HTML.
'use strict';

const $ = id => document.getElementById(id);
const TONES = {angry: '#d62f2f', disgust: '#6a8f1f', fear: '#8a4fd0', happy: '#e0a100', sad: '#2f6fd6', surprise: '#14a3a3', neutral: '#84847c'};
const tone = label => TONES[label] || '#84847c';  // as .other in page.css
const MINUTE = 60000, LIVE_WIDTH = 640;
let token = sessionStorage.getItem('mien-token') || '';

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') element.className = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const percent = p => Math.round(p * 100) + '\u00a0%';
function say(text) { $('said').textContent = text; }

// ---- the service ----

class ServiceError extends Error {
  constructor(text, status) { super(text); this.status = status; }
}

async function ask(path, options = {}) {
  const headers = {...options.headers};
  if (token) headers.Authorization = 'Bearer ' + token;
  let answer;
  try {
    answer = await fetch(path, {...options, headers, cache: 'no-store', signal: AbortSignal.timeout(60000)});
  } catch {
    setServer(false);
    throw new ServiceError('The service cannot be reached.', 0);
  }
  setServer(true);
  if (answer.ok) return answer.json();
  if (answer.status === 401) $('token-form').hidden = false;
  const body = await answer.json().catch(() => ({}));
  const first = body.images && body.images[0];
  const text = (first && first.error) || body.error || 'The service answered ' + answer.status + '.';
  const detail = (first && first.detail) || body.detail;
  throw new ServiceError(detail ? text + ' (' + detail + ')' : text, answer.status);
}

// A service that is busy is asked again, with the wait growing.
async function analyze(blob, annotate = false) {
  if (device.on) return device.analyze(blob, annotate);
  for (let attempt = 0;; attempt++) {
    try {
      const type = blob.type.startsWith('image/') ? blob.type : 'application/octet-stream';
      return await ask('v1/analyze' + (annotate ? '?annotate=1' : ''), {method: 'POST', body: blob, headers: {'Content-Type': type}});
    } catch (error) {
      if ((error.status !== 503 && error.status !== 429) || attempt >= 5) throw error;
      await new Promise(done => setTimeout(done, 500 * 2 ** attempt));
    }
  }
}

let reachable = null;
function setServer(up) {
  if (up === reachable) return;
  reachable = up;
  $('server').textContent = up ? 'Ready' : 'The service is gone; waiting for it…';
  $('server').classList.toggle('error', !up);
  if (!up) setTimeout(probe, 1500);
}
async function probe() {
  try {
    const state = await ask('readyz');
    $('token-form').hidden = !state.token || token !== '';
    $('board').hidden = !state.camera;
    const list = await ask('v1/models');
    $('models').textContent = 'mien ' + list.mien + ': ' + list.models.map(model => model.name).join(' · ');
  } catch (error) {
    if (!reachable) setTimeout(probe, 1500);
  }
}

// ---- results ----

function bars(reading) {
  const list = make('dl', {class: 'bars'});
  for (const [label, p] of Object.entries(reading.probabilities)) {
    const top = label === reading.label ? ' top' : '';
    const fill = make('span');
    fill.style.width = Math.max(p * 100, .5) + '%';
    list.append(make('dt', {class: (label in TONES ? label : 'other') + top}, label),
                make('dd', {class: label in TONES ? label : 'other', 'aria-hidden': 'true'}, make('div', {class: 'bar'}, fill)),
                make('dd', {class: 'value' + top}, percent(p)));
  }
  return list;
}

// A face's readings in the order of the answer, whatever its heads are; the first one gets the bars.
const readings = face => Object.values(face).filter(value => value && value.probabilities);

// The answer in a word or two, and with how sure it is.
const word = reading => reading.value !== undefined ? (Math.round(reading.value) + ' ' + reading.unit).trim() : reading.unsure ? 'unsure' : reading.label;
function figures(reading) {
  if (reading.value !== undefined) return word(reading) + ' (' + reading.range.map(Math.round).join('–') + ')';
  const label = reading.label + ' ' + percent(reading.probabilities[reading.label]);
  return reading.unsure ? 'unsure (' + label + ')' : label;
}
function sentence(face) {
  return readings(face).map(figures).join(', ') || 'a face';
}

// Red speaks for the label, blue against it; the numbers are few, the browser smooths between them.
function drawMap(pen, map, left, above, scale) {
  const small = document.createElement('canvas');
  small.width = map.width;
  small.height = map.height;
  const brush = small.getContext('2d'), cells = brush.createImageData(map.width, map.height);
  const top = Math.max(...map.values.map(Math.abs)) || 1;
  map.values.forEach((value, i) => cells.data.set([...(value > 0 ? [178, 34, 16] : [0, 84, 170]), 200 * Math.abs(value) / top], 4 * i));
  brush.putImageData(cells, 0, 0);
  pen.imageSmoothingEnabled = true;
  const {x, y, width, height, degrees = 0} = map.crop;
  pen.save();
  pen.translate(left + (x + width / 2) * scale, above + (y + height / 2) * scale);
  pen.rotate(degrees * Math.PI / 180);
  pen.drawImage(small, -width / 2 * scale, -height / 2 * scale, width * scale, height * scale);
  pen.restore();
}

const touch = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

// Where the tags of boxes go: beside the box, or some way off with a line to it, clear of boxes and other tags where there is room.
// Large boxes choose first. A tag without such a place is near its box, and `covers`.
function placeTags(boxes, sizes, width, height, gap) {
  const places = [];
  for (const i of boxes.map((_, i) => i).sort((a, b) => boxes[b].w - boxes[a].w)) {
    const box = boxes[i], {w, h} = sizes[i], spots = [];
    for (let ring = 0; ring < 3; ring++) {
      const away = gap + ring * h, left = box.x - w - away, right = box.x + box.w + away, above = box.y - h - away, below = box.y + box.h + away;
      const middle = [box.x + (box.w - w) / 2, box.y + (box.h - h) / 2], end = [box.x + box.w - w, box.y + box.h - h];
      spots.push([box.x, above], [end[0], above], [middle[0], above], [box.x, below], [end[0], below], [middle[0], below],
                 [right, box.y], [left, box.y], [right, end[1]], [left, end[1]], [left, above], [right, above], [left, below], [right, below]);
    }
    let least = Infinity;
    spots.forEach(([x, y], order) => {
      const tag = {x: Math.min(Math.max(gap, x), width - w - gap), y: Math.min(Math.max(gap, y), height - h - gap), w, h};
      const near = {x: tag.x - gap / 2, y: tag.y - gap / 2, w: w + gap, h: h + gap};
      const cost = order + 1000 * places.filter(other => other && touch(near, other)).length + 300 * boxes.filter(other => touch(near, other)).length;
      if (cost < least) {
        least = cost;
        places[i] = {...tag, covers: cost >= 300};
      }
    });
  }
  return places;
}

const FEW = 4;  // so many faces have their expression beside the box; more have numbers there, and cards

function drawBoxes(canvas, result) {
  const shown = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(shown.width * ratio));
  canvas.height = Math.max(1, Math.round(shown.height * ratio));
  const pen = canvas.getContext('2d');
  if (!result || !result.width) return;
  const scale = Math.min(canvas.width / result.width, canvas.height / result.height);
  const left = (canvas.width - result.width * scale) / 2, above = (canvas.height - result.height * scale) / 2;
  const crowd = result.faces.length > FEW, size = Math.round((!crowd ? 14 : canvas.width < 500 * ratio ? 10 : 12) * ratio);
  pen.font = '600 ' + size + 'px system-ui, sans-serif';
  pen.textBaseline = 'top';
  const boxes = result.faces.map(({box}) => ({x: left + box.x * scale, y: above + box.y * scale, w: box.width * scale, h: box.height * scale}));
  const texts = result.faces.map((face, i) => (i + 1) + (crowd || !readings(face)[0] ? '' : ' ' + word(readings(face)[0])));
  const sizes = texts.map(text => ({w: pen.measureText(text).width + 8 * ratio, h: size + (crowd ? 4 : 6) * ratio}));
  result.faces.forEach((face, i) => {
    for (const {map} of readings(face)) if (map) drawMap(pen, map, left, above, scale);
    const {x, y, w, h} = boxes[i], thick = crowd && canvas.chosen !== i ? 1.5 : 3;
    pen.lineWidth = (thick + 2) * ratio;
    pen.strokeStyle = '#000';
    pen.strokeRect(x, y, w, h);
    pen.lineWidth = thick * ratio;
    pen.strokeStyle = canvas.chosen === i ? '#ffd23f' : '#fff';
    pen.strokeRect(x, y, w, h);
    if (w < 60 * ratio) return;  // landmarks would hide a small face
    for (const [px, py] of face.landmarks ?? []) {
      pen.beginPath();
      pen.arc(left + px * scale, above + py * scale, 2.5 * ratio, 0, 7);
      pen.lineWidth = 2 * ratio;
      pen.strokeStyle = '#000';
      pen.stroke();
      pen.fillStyle = '#fff';
      pen.fill();
    }
  });
  placeTags(boxes, sizes, canvas.width, canvas.height, 3 * ratio).forEach((tag, i) => {
    if (crowd && tag.covers && canvas.chosen !== i) return;  // shown when its card is pointed at
    const box = boxes[i], center = {x: tag.x + tag.w / 2, y: tag.y + tag.h / 2};
    const to = {x: Math.min(Math.max(center.x, box.x), box.x + box.w), y: Math.min(Math.max(center.y, box.y), box.y + box.h)};
    const from = {x: Math.min(Math.max(to.x, tag.x), tag.x + tag.w), y: Math.min(Math.max(to.y, tag.y), tag.y + tag.h)};
    if (Math.hypot(to.x - from.x, to.y - from.y) > 8 * ratio) {
      for (const [color, width] of [['#000', 3.5], ['#fff', 1.5]]) {
        pen.strokeStyle = color;
        pen.lineWidth = width * ratio;
        pen.beginPath();
        pen.moveTo(from.x, from.y);
        pen.lineTo(to.x, to.y);
        pen.stroke();
      }
    }
    pen.fillStyle = canvas.chosen === i ? '#ffd23f' : '#000c';
    pen.fillRect(tag.x, tag.y, tag.w, tag.h);
    pen.fillStyle = canvas.chosen === i ? '#000' : '#fff';
    pen.fillText(texts[i], tag.x + 4 * ratio, tag.y + (crowd ? 2 : 3) * ratio);
  });
}

// The face itself, upright by its eyes, for a look at what was read. An image that the browser cannot show gives none.
const CROP = 64;
function drawCrop(canvas, image, result, face) {
  if (!image.naturalWidth) return;
  const ratio = window.devicePixelRatio || 1, scale = image.naturalWidth / result.width, {box} = face;
  canvas.width = canvas.height = CROP * ratio;
  const pen = canvas.getContext('2d'), side = 1.3 * Math.max(box.width, box.height);
  let turn = 0;
  if (face.landmarks) {
    const [right, left] = face.landmarks;
    turn = Math.atan2(left[1] - right[1], left[0] - right[0]);
  }
  pen.translate(canvas.width / 2, canvas.height / 2);
  pen.scale(canvas.width / side, canvas.height / side);
  pen.rotate(-turn);
  pen.translate(-box.x - box.width / 2, -box.y - box.height / 2);
  pen.scale(1 / scale, 1 / scale);
  pen.drawImage(image, 0, 0);
}

// A face beside its bars; pointing at the card shows where it is in the photo.
function card(face, i, image, overlay) {
  const crop = make('canvas', {class: 'crop', 'aria-hidden': 'true'});
  const choose = chosen => () => { overlay.chosen = chosen; drawBoxes(overlay, overlay.result); };
  image.decode().catch(() => {}).then(() => drawCrop(crop, image, overlay.result, face));
  return make('div', {class: 'face', onpointerenter: choose(i), onpointerleave: choose(undefined)}, crop,
              make('div', {}, make('h3', {}, (i + 1) + ': ' + sentence(face)),
                   ...(face.score ? [make('p', {class: 'figures'}, 'score ' + percent(face.score))] : []),
                   ...readings(face).slice(0, 1).map(bars)));
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make('a', {href: url, download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
const stem = name => name.replace(/\.[^.]*$/, '') || 'picture';

async function downloadPicture(button, file, note) {
  if (button.getAttribute('aria-busy') === 'true') return;  // not disabled: that would take the keyboard's place away
  button.setAttribute('aria-busy', 'true');
  note.textContent = '';
  try {
    const drawn = (await analyze(file, true)).images[0].annotated;
    const bytes = Uint8Array.from(atob(drawn.base64), c => c.charCodeAt(0));
    save(new Blob([bytes], {type: drawn.media_type}), stem(file.name) + '.faces.png');
  } catch (error) {
    note.textContent = error.message;
  }
  button.setAttribute('aria-busy', 'false');
}

const boxes = new ResizeObserver(entries => entries.forEach(entry => drawBoxes(entry.target, entry.target.result)));

async function addFile(file) {
  const canvas = make('canvas', {'aria-hidden': 'true'});
  const image = make('img', {alt: 'The photo ' + file.name});
  const side = make('div', {class: 'side'}, make('p', {}, 'Working…'));
  const title = make('h2', {}, file.name || 'Pasted image');
  const remove = make('button', {type: 'button', class: 'plain', 'aria-label': 'Remove ' + file.name, onclick: () => { article.remove(); tidy(); $('results').focus(); }}, 'Remove');
  const article = make('article', {'aria-label': file.name}, make('header', {}, title, remove), make('div', {class: 'stage'}, image, canvas), side);
  const url = URL.createObjectURL(file);
  image.onload = image.onerror = () => URL.revokeObjectURL(url);
  image.src = url;
  $('results').append(article);
  tidy();
  const start = performance.now();
  try {
    const answer = await analyze(file);
    const result = answer.images[0];
    const ms = performance.now() - start;
    canvas.result = result;
    article.classList.toggle('crowd', result.faces.length > FEW);
    boxes.observe(canvas);
    const found = result.faces.length === 0 ? 'No face found' : result.faces.length === 1 ? '1 face' : result.faces.length + ' faces';
    say(file.name + ': ' + found + (result.faces.length ? ': ' + result.faces.slice(0, FEW).map(sentence).join('; ') + (result.faces.length > FEW ? '; …' : '') : ''));
    const note = make('p', {class: 'error', role: 'status'});
    const picture = make('button', {type: 'button', class: 'plain', onclick: () => downloadPicture(picture, file, note)}, 'Save the image');
    const json = make('button', {type: 'button', class: 'plain',
      onclick: () => save(new Blob([JSON.stringify(answer, null, 2)], {type: 'application/json'}), stem(file.name) + '.faces.json')}, 'Save the JSON');
    side.replaceChildren(make('p', {class: 'figures'}, found + ' · ' + Math.round(ms) + ' ms, of these ' + result.timing_ms.total.toFixed(1) + ' ms of work'),
                         make('div', {class: 'faces'}, ...result.faces.map((face, i) => card(face, i, image, canvas))),
                         make('div', {class: 'buttons'}, picture, json), note);
  } catch (error) {
    side.replaceChildren(make('p', {class: 'error'}, error.message),
      make('button', {type: 'button', onclick: () => { article.remove(); $('results').focus(); addFile(file); }}, 'Try again'));
    say(file.name + ': ' + error.message);
  }
}

// Two at a time: a service with few engines is not flooded by a folder of photos.
const queue = [];
let working = 0;
function addFiles(files) {
  queue.push(...files);
  while (working < 2 && queue.length > 0) {
    working++;
    addFile(queue.shift()).finally(() => { working--; addFiles([]); });
  }
}
function tidy() { $('clear').hidden = $('results').childElementCount === 0; }

// ---- webcam: one image on its way at a time, over one kept connection, so a slow service means fewer images and never old ones ----

const live = {stream: null, history: [], result: null, times: [], frames: 0};

function drawTimeline() {
  const canvas = $('timeline'), shown = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, shown.width * ratio);
  canvas.height = Math.max(1, shown.height * ratio);
  const pen = canvas.getContext('2d'), now = performance.now();
  pen.lineWidth = 2 * ratio;
  for (const label of new Set(live.history.flatMap(entry => Object.keys(entry.p)))) {
    pen.strokeStyle = tone(label);
    pen.beginPath();
    let last = 0;
    for (const entry of live.history) {
      if (!(label in entry.p)) continue;
      const x = canvas.width * (1 - (now - entry.time) / MINUTE), y = (canvas.height - 4 * ratio) * (1 - entry.p[label]) + 2 * ratio;
      if (entry.time - last > 1500) pen.moveTo(x, y); else pen.lineTo(x, y);
      last = entry.time;
    }
    pen.stroke();
  }
}

let spoken = '', spokenAt = 0;
function showLive(answer, ms) {
  const result = answer.images[0], now = performance.now();
  live.result = result;
  live.frames++;
  document.body.dataset.frames = live.frames;
  live.times.push(now);
  while (live.times.length > 0 && now - live.times[0] > 3000) live.times.shift();
  const fps = live.times.length > 1 ? (live.times.length - 1) * 1000 / (now - live.times[0]) : 0;
  document.body.dataset.fps = fps.toFixed(1);
  document.body.dataset.latency = ms.toFixed(1);
  $('speed').textContent = fps.toFixed(1) + ' images per second · ' + ms.toFixed(0) + ' ms from image to result, of these ' +
    result.timing_ms.total.toFixed(1) + ' ms of work';
  drawBoxes($('overlay'), result);
  const largest = result.faces.reduce((a, b) => !a || b.box.width > a.box.width ? b : a, null);
  const reading = largest && readings(largest)[0];
  if (reading) {
    live.history.push({time: now, p: reading.probabilities});
    $('live-bars').replaceChildren(bars(reading));
  } else {
    $('live-bars').replaceChildren(make('p', {class: 'note'}, 'No face'));
  }
  while (live.history.length > 0 && now - live.history[0].time > MINUTE) live.history.shift();
  drawTimeline();
  const text = largest ? result.faces.length + (result.faces.length === 1 ? ' face: ' : ' faces: ') + (reading ? word(reading) : '') : 'no face';
  if (text !== spoken && now - spokenAt > 3000) {  // for screen readers, not at every image
    say(text);
    spoken = text;
    spokenAt = now;
  }
}

async function runLive(stream) {
  const video = $('video'), canvas = document.createElement('canvas'), pen = canvas.getContext('2d', {alpha: false});
  while (live.stream === stream) {
    if (video.readyState < 2 || document.hidden) {
      await new Promise(done => setTimeout(done, 100));
      continue;
    }
    const start = performance.now(), shrink = Math.min(1, LIVE_WIDTH / video.videoWidth);
    if (!device.on) {
      canvas.width = Math.round(video.videoWidth * shrink);
      canvas.height = Math.round(video.videoHeight * shrink);
      pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    }
    const blob = device.on ? null : await new Promise(done => canvas.toBlob(done, 'image/jpeg', .85));
    try {
      const answer = device.on ? await device.frame(video)
        : await ask('v1/analyze' + ($('explain').checked ? '?explain=1' : ''), {method: 'POST', body: blob, headers: {'Content-Type': 'image/jpeg'}});
      if (live.stream !== stream) break;  // stopped or lost meanwhile; what the page says about that stays
      $('camera-note').textContent = '';
      showLive(answer, performance.now() - start);
      // On this device the answer can be sooner than the next image.
      if (device.on) await new Promise(done => { video.requestVideoFrameCallback?.(done); setTimeout(done, 200); });
    } catch (error) {
      if (live.stream !== stream) break;
      $('camera-note').textContent = error.message;
      await new Promise(done => setTimeout(done, error.status === 503 ? 200 : 1000));
    }
  }
}

function stopCamera() {
  if (!live.stream) return;
  live.stream.getTracks().forEach(track => track.stop());
  live.stream = null;
  $('video').srcObject = null;
  $('live-view').hidden = true;
  $('camera').textContent = 'Start the webcam';
  $('camera').setAttribute('aria-pressed', 'false');
}

async function startCamera() {
  stopBoard();
  if (!navigator.mediaDevices) {
    $('camera-note').textContent = 'Browsers give a webcam only to pages from https or from this machine (localhost).';
    return;
  }
  if ($('camera').getAttribute('aria-busy') === 'true') return;
  $('camera').setAttribute('aria-busy', 'true');
  try {
    const stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: 640}, height: {ideal: 480}, facingMode: 'user'}, audio: false});
    live.stream = stream;
    live.history = [];
    live.times = [];
    stream.getVideoTracks()[0].addEventListener('ended', () => {
      stopCamera();
      $('camera-note').textContent = 'The webcam is gone.';
    });
    $('live-view').hidden = false;
    $('video').srcObject = stream;
    await $('video').play();
    $('camera').textContent = 'Stop the webcam';
    $('camera').setAttribute('aria-pressed', 'true');
    runLive(stream);
  } catch (error) {
    stopCamera();
    $('camera-note').textContent = error.name === 'NotAllowedError' ? 'The browser does not allow the webcam.' : 'There is no webcam that can be used.';
  }
  $('camera').setAttribute('aria-busy', 'false');
}

// ---- the service's own camera: its drawn images, and its results for bars and timeline. By fetch, which can carry the token ----

let board = null;

async function stream(path, signal, use) {
  const answer = await fetch(path, {headers: token ? {Authorization: 'Bearer ' + token} : {}, cache: 'no-store', signal});
  if (!answer.ok) throw new ServiceError(((await answer.json().catch(() => ({}))).error) || 'The service answered ' + answer.status + '.', answer.status);
  const reader = answer.body.getReader();
  let rest = new Uint8Array();
  for (;;) {
    const {value, done} = await reader.read();
    if (done) throw new ServiceError('The camera’s stream has ended.', 0);
    const bytes = new Uint8Array(rest.length + value.length);
    bytes.set(rest);
    bytes.set(value, rest.length);
    rest = use(bytes);
  }
}

const ascii = bytes => new TextDecoder('latin1').decode(bytes);
let boardUrl = '';
function takePictures(bytes) {  // shows the last whole one; returns what is left
  for (let last = null;;) {
    const head = ascii(bytes.subarray(0, 200)), end = head.indexOf('\r\n\r\n'), length = /Content-Length: (\d+)/.exec(head);
    const after = end + 4 + (length ? Number(length[1]) : 0);
    if (end < 0 || !length || bytes.length < after + 2) {
      if (last) {
        URL.revokeObjectURL(boardUrl);
        boardUrl = URL.createObjectURL(new Blob([last], {type: 'image/jpeg'}));
        $('board-picture').src = boardUrl;
      }
      return bytes;
    }
    last = bytes.slice(end + 4, after);
    bytes = bytes.subarray(after + 2);
  }
}
function takeEvents(bytes) {
  let at;
  while ((at = ascii(bytes).indexOf('\n\n')) >= 0) {
    const lines = new TextDecoder().decode(bytes.subarray(0, at)).split('\n');
    bytes = bytes.subarray(at + 2);
    const data = JSON.parse(lines.find(line => line.startsWith('data: ')).slice(6));
    if (lines.includes('event: camera')) {
      $('camera-note').textContent = data.connected ? '' : data.source + ': ' + data.text;
    } else {
      const work = data.timing_ms.decode + data.timing_ms.gray + data.timing_ms.detect + data.timing_ms.classify;
      showLive({images: [{...data, timing_ms: {total: work}}]}, data.timing_ms.latency || work);
    }
  }
  return bytes;
}

function stopBoard() {
  if (!board) return;
  board.abort();
  board = null;
  $('board-picture').hidden = true;
  $('video').hidden = $('overlay').hidden = false;
  $('live-view').hidden = true;
  $('board').textContent = 'Watch the service’s camera';
  $('board').setAttribute('aria-pressed', 'false');
}
async function startBoard() {
  stopCamera();
  const mine = board = new AbortController();
  live.history = [];
  live.times = [];
  $('camera-note').textContent = '';
  $('video').hidden = $('overlay').hidden = true;
  $('board-picture').hidden = $('live-view').hidden = false;
  $('board').textContent = 'Stop watching';
  $('board').setAttribute('aria-pressed', 'true');
  while (board === mine) {
    const both = new AbortController();  // when one ends, the other does
    mine.signal.addEventListener('abort', () => both.abort());
    const streams = [stream('stream.mjpg', both.signal, takePictures), stream('v1/events', both.signal, takeEvents)];
    const error = await Promise.race(streams).catch(reason => reason);
    both.abort();
    await Promise.allSettled(streams);
    if (board !== mine) return;
    $('camera-note').textContent = error.status === undefined ? 'The service cannot be reached.' : error.message;
    if (error.status === 401) $('token-form').hidden = false;
    await new Promise(done => setTimeout(done, 2000));
  }
}

// ---- events ----

$('files').addEventListener('change', () => { addFiles([...$('files').files]); $('files').value = ''; });
$('clear').addEventListener('click', () => { queue.length = 0; $('results').replaceChildren(); tidy(); $('files').focus(); });
$('camera').addEventListener('click', () => live.stream ? stopCamera() : startCamera());
$('board').addEventListener('click', () => board ? stopBoard() : startBoard());
$('token-form').addEventListener('submit', event => {
  event.preventDefault();
  token = $('token').value.trim();
  sessionStorage.setItem('mien-token', token);
  $('token-form').hidden = true;
  probe();
});
for (const name of ['dragover', 'drop', 'dragleave']) {
  document.addEventListener(name, event => {
    event.preventDefault();
    $('drop').classList.toggle('over', name === 'dragover');
    if (name === 'drop') addFiles([...event.dataTransfer.files]);
  });
}
document.addEventListener('paste', event => addFiles([...event.clipboardData.files]));
window.addEventListener('resize', () => { if (live.stream) { drawBoxes($('overlay'), live.result); drawTimeline(); } });
if (device.only) {
  $('server').textContent = '';
  device.turn(true);
} else {
  probe();
}
