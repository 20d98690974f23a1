// SPDX-License-Identifier: MIT
// node run_unit.mjs MIEN-TESTS.WASM [OPTIONS]: the unit tests of the core as a WASI program.
import {readFileSync} from 'node:fs';
import {WASI} from 'node:wasi';

const wasi = new WASI({version: 'preview1', args: ['mien-tests', ...process.argv.slice(3)], env: {}, preopens: {'.': '.'}, returnOnExit: true});
const module = new WebAssembly.Module(readFileSync(process.argv[2]));
const instance = new WebAssembly.Instance(module, {wasi_snapshot_preview1: wasi.wasiImport});
process.exit(wasi.start(instance));
