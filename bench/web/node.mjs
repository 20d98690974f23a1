// SPDX-License-Identifier: MIT
// node node.mjs PACKAGE FRAME.rgba WIDTH HEIGHT FACE.rgba WIDTH HEIGHT ROUNDS [PEER_FOLDER]: measure.mjs in Node, as JSON.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';
import {faceApi, measure, mien} from './measure.mjs';

const [folder, frame, width, height, face, faceWidth, faceHeight, rounds, peer] = process.argv.slice(2);
const picture = (path, w, h) => ({data: readFileSync(path), width: +w, height: +h});
const {load} = await import(pathToFileURL(`${folder}/mien.js`));
const contenders = [mien(load, true), mien(load, false)];
if (peer) {
  const require = createRequire(pathToFileURL(`${peer}/package.json`));
  const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
  const quiet = console.warn;
  console.warn = () => {};
  const prepare = async () => require('@tensorflow/tfjs-backend-wasm').setWasmPaths(`${peer}/node_modules/@tensorflow/tfjs-backend-wasm/dist/`);
  contenders.push(faceApi(faceapi, 'wasm', prepare, net => net.loadFromDisk(`${peer}/node_modules/@vladmandic/face-api/model`)));
  console.warn = quiet;
}
console.log(JSON.stringify(await measure(contenders, picture(frame, width, height), picture(face, faceWidth, faceHeight), +rounds)));
