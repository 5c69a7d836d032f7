// The arrays of an .npz file, as numpy.savez writes it: a zip file of .npy files, not compressed.

const READERS = {
  "<f4": [4, (view, at) => view.getFloat32(at, true)],
  "<f8": [8, (view, at) => view.getFloat64(at, true)],
  "<i4": [4, (view, at) => view.getInt32(at, true)],
  "<i8": [8, (view, at) => Number(view.getBigInt64(at, true))],
};
const ENTRY = 0x02014b50; // of the zip file's directory
const END = 0x06054b50; // behind the directory
const END_BYTES = 22;
const TEXT = new TextDecoder();

/**
 * @param {ArrayBuffer} buffer the file
 * @returns {Object<string, {shape: number[], values: Float64Array}>} the arrays by name, row by row
 * @throws {Error} it is another kind of file
 */
export function readArrays(buffer) {
  const view = new DataView(buffer);
  const arrays = {};
  try {
    let end = view.byteLength - END_BYTES;
    while (view.getUint32(end, true) !== END) {
      end -= 1;
    }
    let at = view.getUint32(end + 16, true);
    for (let entry = view.getUint16(end + 10, true); entry > 0; entry -= 1) {
      if (view.getUint32(at, true) !== ENTRY || view.getUint16(at + 10, true) !== 0) {
        throw new Error("a compressed file, or none of numpy.savez");
      }
      const bytes = view.getUint32(at + 24, true);
      const nameBytes = view.getUint16(at + 28, true);
      const name = TEXT.decode(new Uint8Array(buffer, at + 46, nameBytes));
      const local = view.getUint32(at + 42, true);
      const skipped = view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const content = new DataView(buffer, local + 30 + skipped, bytes);
      arrays[name.replace(/\.npy$/, "")] = readArray(content);
      at += 46 + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    }
  } catch (error) {
    const reason = error instanceof RangeError ? "it is cut short" : error.message;
    throw new Error(`not a file of arrays: ${reason}`);
  }
  return arrays;
}

function readArray(view) {
  const isNpy = [..."\x93NUMPY"].every((letter, at) => view.getUint8(at) === letter.charCodeAt(0));
  if (!isNpy || view.getUint8(6) !== 1) {
    throw new Error("no array of numpy's format 1.0");
  }
  const start = 10 + view.getUint16(8, true);
  const header = TEXT.decode(new Uint8Array(view.buffer, view.byteOffset + 10, start - 10));
  const type = /'descr': '([^']+)'/.exec(header)?.[1];
  const shape = /'fortran_order': False, 'shape': \(([\d, ]*)\)/.exec(header)?.[1];
  if (!(type in READERS) || shape === undefined) {
    throw new Error(`an array of another type or order: ${header.trim()}`);
  }
  const sizes = shape.split(",").filter((size) => size.trim()).map(Number);
  const [bytes, read] = READERS[type];
  const count = sizes.reduce((product, size) => product * size, 1);
  if (start + count * bytes !== view.byteLength) {
    throw new Error("an array of another size than its header states");
  }
  const values = Float64Array.from({ length: count }, (_, index) => read(view, start + index * bytes));
  return { shape: sizes, values };
}
