// SPDX-License-Identifier: MIT
// node node.mjs PACKAGE_FOLDER GOLDEN.JSON: cases.mjs in Node; and that the modules ask nothing of their host.
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';
import {run, unpack} from './cases.mjs';

const [folder, golden] = process.argv.slice(2);
for (const name of ['mien.wasm', 'mien-simd.wasm']) {
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(`${folder}/${name}`)));
  if (imports.length) throw new Error(`${name} imports ${JSON.stringify(imports)}`);
}
for (const line of await run(await import(pathToFileURL(`${folder}/mien.js`)), unpack(readFileSync(golden, 'utf8')))) console.log('node ' + line);
