// SPDX-License-Identifier: MIT
// The switch "on this device": the same answers as the service's, from a worker of this page. page.js asks here while device.on.
'use strict';

const device = {
  on: false,
  only: document.documentElement.hasAttribute('data-static'),  // a folder of files: there is no service to ask
  worker: null,
  waiting: new Map(),
  next: 0,

  post(message, transfer = []) {
    return new Promise((done, fail) => {
      const id = this.next++;
      this.waiting.set(id, {done, fail});
      this.worker.postMessage({...message, id}, transfer);
    });
  },

  lose(text) {
    for (const {fail} of this.waiting.values()) fail(new Error(text));
    this.waiting.clear();
    if (this.worker) this.worker.terminate();
    this.worker = null;
    this.ready = null;
  },

  ready: null,
  start() {
    this.ready ??= this.open();
    return this.ready;
  },
  // Which detector; the switch of the page changes it.
  net: new URLSearchParams(location.search).get('detector') !== 'haar',
  async open() {
    if (typeof WebAssembly !== 'object') throw new Error('This browser has no WebAssembly, so it cannot work on this device.');
    if (typeof OffscreenCanvas !== 'function') throw new Error('This browser cannot read images in a worker, so it cannot work on this device.');
    const begun = performance.now();
    this.worker = new Worker('device-worker.js', {type: 'module'});
    this.worker.onerror = event => {
      event.preventDefault();
      this.lose('The engine of this page cannot be loaded' + (event.message ? ': ' + event.message : ' (a file is missing).'));
    };
    this.worker.onmessage = ({data}) => {
      const asked = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.memory) document.body.dataset.memory = data.memory;
      if (!asked) return;
      if (data.error) asked.fail(new Error(data.error)); else asked.done(data.value);
    };
    try {
      const options = {detector: this.net ? 'net' : 'haar', ...(new URLSearchParams(location.search).has('nosimd') && {simd: false})};
      const engine = await this.post({kind: 'load', options});
      document.body.dataset.startup = (performance.now() - begun).toFixed(0);
      document.body.dataset.isa = engine.isa;
      return engine;
    } catch (error) {
      this.lose(error.message);
      throw error;
    }
  },

  async analyze(blob, annotate = false) {
    await this.start();
    return {images: [await this.post({kind: 'picture', blob, annotate})]};
  },

  // The frame's pixels go to the worker without a copy where browsers can.
  async frame(video) {
    await this.start();
    if (!video.videoWidth) throw new Error('The webcam gives no image.');
    if (typeof VideoFrame === 'function') {
      const frame = new VideoFrame(video);
      if (/^(I420|I422|I444|NV12|RGB[AX]|BGR[AX])/.test(frame.format || '')) return {images: [await this.post({kind: 'frame', frame}, [frame])]};
      frame.close();
    }
    const bitmap = await createImageBitmap(video);
    return {images: [await this.post({kind: 'picture', bitmap}, [bitmap])]};
  },

  // The note about where images go is true in either state; only the service explains.
  set(on) {
    this.on = document.getElementById('device').checked = on;
    document.getElementById('where').textContent = on ? 'They stay in this browser' : 'They go to this service’s memory and no further';
    document.getElementById('explain-label').hidden = on;
    document.getElementById('net-label').hidden = !on;
    document.getElementById('net').checked = this.net;
  },

  async turn(on) {
    const note = document.getElementById('device-note');
    this.set(on);
    note.textContent = on ? 'Loading…' : '';
    note.classList.remove('error');
    if (!on) return;
    try {
      const engine = await this.start();
      if (this.on) note.textContent = `mien ${engine.version} in this browser (${engine.isa}). No image leaves this device.`;
    } catch (error) {
      note.textContent = error.message;
      note.classList.add('error');
      if (!this.only) this.set(false);
    }
  },
};

document.getElementById('device').addEventListener('change', event => device.turn(event.target.checked));
document.getElementById('net').addEventListener('change', event => {
  device.net = event.target.checked;
  device.lose('The detector was changed; try again.');
  device.turn(true);
});
if (device.only) {
  document.getElementById('device').disabled = true;
  for (const gone of document.querySelectorAll('footer a')) gone.remove();
  if ('serviceWorker' in navigator && isSecureContext) navigator.serviceWorker.register('sw.js').catch(() => {});
}
