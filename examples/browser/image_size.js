// The size of an image by its header, before its pixels take memory.

const BLOCK = 1 << 20; // bytes that are read at once

/**
 * @param {Blob} file
 * @returns {Promise<{width: number, height: number} | null>} null for another kind of file,
 *   and for a JPEG that no decoder gets a size of
 */
export async function imageSize(file) {
  const header = await view(file, 0, 64);
  return starts(header, 0, "\xff\xd8") ? jpegSize(file) : sizeOfHeader(header);
}

function sizeOfHeader(header) {
  if (starts(header, 0, "\x89PNG\r\n\x1a\n") && has(header, 24)) {
    return size(header.getUint32(16), header.getUint32(20));
  }
  if (starts(header, 0, "GIF8") && has(header, 10)) {
    return size(header.getUint16(6, true), header.getUint16(8, true));
  }
  if (starts(header, 0, "BM") && has(header, 26)) {
    return size(Math.abs(header.getInt32(18, true)), Math.abs(header.getInt32(22, true)));
  }
  if (starts(header, 0, "RIFF") && starts(header, 8, "WEBP") && has(header, 30)) {
    return webpSize(header);
  }
  return null;
}

const size = (width, height) => ({ width, height });
const view = async (file, from, bytes) =>
  new DataView(await file.slice(from, from + bytes).arrayBuffer());
const has = (header, bytes) => header.byteLength >= bytes;

function starts(header, at, text) {
  return (
    has(header, at + text.length) &&
    [...text].every((letter, index) => header.getUint8(at + index) === letter.charCodeAt(0))
  );
}

// https://developers.google.com/speed/webp/docs/riff_container
function webpSize(header) {
  if (starts(header, 12, "VP8X")) {
    const three = (at) => header.getUint16(at, true) + (header.getUint8(at + 2) << 16);
    return size(three(24) + 1, three(27) + 1);
  }
  if (starts(header, 12, "VP8L")) {
    const bits = header.getUint32(21, true);
    return size((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
  }
  return size(header.getUint16(26, true) & 0x3fff, header.getUint16(28, true) & 0x3fff);
}

// The first frame header: its marker is C0 to CF, but for C4, C8 and CC. It may be anywhere, behind
// metadata of any length. As libjpeg does, bytes between the segments are skipped.
async function jpegSize(file) {
  let from = 0; // of the block in the file
  let block = await view(file, from, BLOCK);
  let at = 2; // in the file
  while (at + 9 <= file.size) {
    if (at < from || at + 9 > from + block.byteLength) {
      from = at;
      block = await view(file, from, BLOCK);
    }
    const here = at - from;
    const marker = block.getUint8(here + 1);
    if (block.getUint8(here) !== 0xff || marker === 0xff) {
      at += 1; // no marker, or a byte of filling
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return size(block.getUint16(here + 7), block.getUint16(here + 5));
    } else if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2; // these have no content
    } else {
      at += 2 + Math.max(2, block.getUint16(here + 2));
    }
  }
  return null;
}
