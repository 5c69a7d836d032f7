// The size of an image by its header, before its pixels take memory.

/**
 * @param {DataView} header the first bytes of the file
 * @returns {{width: number, height: number} | null} null for another kind of file
 */
export function imageSize(header) {
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
  return starts(header, 0, "\xff\xd8") ? jpegSize(header) : null;
}

const size = (width, height) => ({ width, height });
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

// The first frame header: its marker is C0 to CF, but for C4, C8 and CC.
function jpegSize(header) {
  let at = 2;
  while (has(header, at + 9)) {
    const marker = header.getUint8(at + 1);
    if (header.getUint8(at) !== 0xff) {
      return null;
    }
    if (marker === 0xff) {
      at += 1; // a byte of filling
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return size(header.getUint16(at + 7), header.getUint16(at + 5));
    } else {
      at += 2 + header.getUint16(at + 2);
    }
  }
  return null;
}
