// SPDX-License-Identifier: MIT
export class MienError extends Error {}
export const GRAY8: 0, RGB24: 1, BGR24: 2, RGBA32: 3, BGRA32: 4, YUYV: 5, UYVY: 6, NV12: 7;
export type PixelFormat = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

type File = string | URL | ArrayBuffer | ArrayBufferView;

/** The questions that networks answer about a face, in the order of the engine. */
export type Head = 'emotion' | 'gender' | 'age';

export type Options = {
  /** Size of the largest image, 640 x 480; larger ones open the engine again. */
  maxWidth?: number;
  maxHeight?: number;
  /** Haar: steps between sizes of faces, 1.3. */
  scaleFactor?: number;
  /** Haar: overlapping candidates that make a face, 5. */
  minNeighbors?: number;
  /** Sides of faces in pixels; 0: any. */
  minSize?: number;
  maxSize?: number;
  /** Wider images are shrunk to this for detection; 0: never. */
  detectWidth?: number;
  maxFaces?: number;
  /** 'net', a network that gives a score and landmarks (the default), or 'haar', OpenCV's cascade
   * (the default with an option of its own). */
  detector?: 'net' | 'haar';
  /** Network: lowest score of a face, 0 to 1; 0: its own. */
  minScore?: number;
  /** Network: smaller images are searched at this size, at most doubled, 640; 0: never. */
  enlargeTo?: number;
  /** Readings whose highest probability is below it are `unsure`, 0 to 1; 0: none is; by default
   *  as each network's file says. */
  minConfidence?: number;
  /** The folder of the files, that of mien.js. */
  base?: string | URL;
  /** false: the module without vectors, whatever the browser has. */
  simd?: boolean;
  /** A file, or a WebAssembly.Module. */
  wasm?: File | object;
  /** Weights; null leaves a network (or the detector) out. */
  cascade?: File | null;
  net?: File | null;
} & {readonly [head in Head]?: File | null};

export interface Reading {
  readonly label: string;
  readonly labels: readonly string[];
  readonly probabilities: Float32Array;
  /** The label is not probable enough to be named; never of a quantity. */
  readonly unsure: boolean;
  /** Of a network that answers with a quantity, such as years: what it expects, and a range that
   *  holds four of five cases; else null. */
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly unit: string;
  toJSON(): {label: string, unsure: boolean, probabilities: Record<string, number>} |
    {value: number, range: [number, number], unit: string, probabilities: Record<string, number>};
}

/** Written again by the next call: copy what is to be kept. */
export type Face = {
  readonly box: {readonly x: number, readonly y: number, readonly width: number, readonly height: number};
  readonly neighbors: number;
  /** With detector 'net': 0 to 1. */
  readonly score?: number;
  /** With detector 'net': the person's right eye, left eye, nose, right and left corner of the mouth; pixels, perhaps outside of the image. */
  readonly landmarks?: readonly (readonly [number, number])[];
} & {readonly [head in Head]: Reading | null};

export interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  /** RGBA32 if not given. */
  format?: PixelFormat;
  /** Bytes from row to row. */
  stride?: number;
}
/** What is used of an HTMLCanvasElement or OffscreenCanvas. These types need no DOM library, so Node has them, too. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: '2d', options?: {willReadFrequently?: boolean}): unknown;
}
/** What is used of a VideoFrame. */
export interface VideoPicture {
  readonly format: string | null;
  readonly visibleRect: {readonly width: number, readonly height: number} | null;
  copyTo(destination: Uint8ClampedArray, options?: object): Promise<{offset: number, stride: number}[]>;
}
/** An ImageData is Pixels. */
export type Picture = Pixels | Canvas;

export class Mien {
  private constructor();
  readonly isa: 'simd128' | 'scalar';
  readonly version: string;
  readonly memoryBytes: number;
  readonly maxWidth: number;
  readonly maxHeight: number;
  readonly emotions: readonly string[];
  readonly genders: readonly string[];
  /** The labels of a head, 'emotion' for example; none without its network. */
  labels(head: string): readonly string[];
  resize(maxWidth: number, maxHeight: number): void;
  process(picture: Picture): Face[];
  detect(picture: Picture): Face[];
  classifyCrop(picture: Picture): Face;
  processFrame(frame: VideoPicture): Promise<Face[]>;
}

export function hasSimd(): boolean;
/** Rejects with a MienError that gives the reason. */
export function load(options?: Options): Promise<Mien>;
