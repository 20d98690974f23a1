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
const percent = p => Math.round(p * 100) + ' %';
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

function sentence(face) {
  return readings(face).map(reading => reading.label + ' ' + percent(reading.probabilities[reading.label])).join(', ') || 'a face';
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
  pen.drawImage(small, left + map.crop.x * scale, above + map.crop.y * scale, map.crop.width * scale, map.crop.height * scale);
}

function drawBoxes(canvas, result) {
  const shown = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(shown.width * ratio));
  canvas.height = Math.max(1, Math.round(shown.height * ratio));
  const pen = canvas.getContext('2d');
  if (!result || !result.width) return;
  const scale = Math.min(canvas.width / result.width, canvas.height / result.height);
  const left = (canvas.width - result.width * scale) / 2, above = (canvas.height - result.height * scale) / 2;
  const size = Math.round(14 * ratio);
  pen.font = '600 ' + size + 'px system-ui, sans-serif';
  pen.textBaseline = 'top';
  result.faces.forEach((face, i) => {
    for (const {map} of readings(face)) if (map) drawMap(pen, map, left, above, scale);
    const x = left + face.box.x * scale, y = above + face.box.y * scale, w = face.box.width * scale, h = face.box.height * scale;
    pen.lineWidth = 5 * ratio;
    pen.strokeStyle = '#000';
    pen.strokeRect(x, y, w, h);
    pen.lineWidth = 3 * ratio;
    pen.strokeStyle = '#fff';
    pen.strokeRect(x, y, w, h);
    const text = (i + 1) + ' ' + (readings(face)[0]?.label ?? '');
    const wide = pen.measureText(text).width + 8 * ratio, high = size + 6 * ratio;
    const tx = Math.min(Math.max(0, x), Math.max(0, canvas.width - wide)), ty = y >= high ? y - high : y;
    pen.fillStyle = '#000c';
    pen.fillRect(tx, ty, wide, high);
    pen.fillStyle = '#fff';
    pen.fillText(text, tx + 4 * ratio, ty + 3 * ratio);
  });
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
    boxes.observe(canvas);
    const found = result.faces.length === 0 ? 'No face found' : result.faces.length === 1 ? '1 face' : result.faces.length + ' faces';
    say(file.name + ': ' + found + (result.faces.length ? ': ' + result.faces.map(sentence).join('; ') : ''));
    const note = make('p', {class: 'error', role: 'status'});
    const picture = make('button', {type: 'button', class: 'plain', onclick: () => downloadPicture(picture, file, note)}, 'Save the image');
    const json = make('button', {type: 'button', class: 'plain',
      onclick: () => save(new Blob([JSON.stringify(answer, null, 2)], {type: 'application/json'}), stem(file.name) + '.faces.json')}, 'Save the JSON');
    side.replaceChildren(make('p', {class: 'figures'}, found + ' · ' + Math.round(ms) + ' ms, of these ' + result.timing_ms.total.toFixed(1) + ' ms of work'),
                         ...result.faces.flatMap((face, i) => [make('h3', {}, (i + 1) + ': ' + sentence(face)), ...readings(face).slice(0, 1).map(bars)]),
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
  const text = largest ? result.faces.length + (result.faces.length === 1 ? ' face: ' : ' faces: ') + (reading ? reading.label : '') : 'no face';
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
