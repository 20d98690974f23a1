// SPDX-License-Identifier: MIT
// The page without a network: its files are kept at the first visit. `make web` puts a name that changes with the files for 'mien-cache'.
const CACHE = 'mien-cache';
const WEIGHTS = [];  // `make web` puts the names of their files here
const FILES = ['./', 'index.html', 'page.css', 'page.js', 'device.js', 'device-worker.js', 'mien.js', 'mien.wasm', 'mien-simd.wasm',
               ...WEIGHTS];

addEventListener('install', event => event.waitUntil(caches.open(CACHE).then(cache => cache.addAll(FILES)).then(() => skipWaiting())));
addEventListener('activate', event => event.waitUntil(
  caches.keys().then(names => Promise.all(names.filter(name => name.startsWith('mien-') && name !== CACHE).map(name => caches.delete(name))))
    .then(() => clients.claim())));
addEventListener('fetch', event => {
  if (event.request.method !== 'GET') return;
  event.respondWith(caches.match(event.request, {ignoreSearch: true}).then(kept => kept || fetch(event.request)));
});
