// ONNX Runtime in WebAssembly, with one thread: more would ask for headers of the server.

import { env, InferenceSession, Tensor } from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

const WASM = "./node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";
env.wasm.numThreads = 1;
env.wasm.wasmPaths = { wasm: new URL(WASM, import.meta.url).href };

export const VERSION = env.versions.web;
export { Tensor };

/** @param {ArrayBuffer} bytes of an ONNX file */
export function open(bytes) {
  return InferenceSession.create(new Uint8Array(bytes), { executionProviders: ["wasm"] });
}
