// An image file to its pixels: upright, RGB, uint8 (height, width, 3), as predict.py reads it.

import { imageSize } from "./image_size.js";

export const MOST_PIXELS = 50_000_000;
export const MOST_BYTES = 256 * 1024 * 1024; // of a file
const ROWS = 256; // that are read at once, so that no second copy of a large image is needed
const TILE = 2048; // side that every WebGL has

/**
 * @param {Blob} file
 * @returns {Promise<{data: Uint8Array, height: number, width: number}>} data is (height, width, 3)
 * @throws {Error} it is no image, or too large
 */
export async function readImage(file) {
  if (file.size > MOST_BYTES) {
    throw new Error(`${file.size} bytes, more than ${MOST_BYTES}`);
  }
  const stated = await imageSize(file);
  if (stated) {
    requireBounded(stated);
  }
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  }).catch(() => {
    throw new Error("not an image that this browser can decode");
  });
  try {
    requireBounded(bitmap);
    const data = opaquePixels(bitmap) ?? (await pixelsBelowAlpha(bitmap));
    return { data, height: bitmap.height, width: bitmap.width };
  } finally {
    bitmap.close();
  }
}

function requireBounded({ width, height }) {
  if (width * height > MOST_PIXELS) {
    throw new Error(`${width}x${height} pixels, more than ${MOST_PIXELS}`);
  }
}

/** Return the pixels; null if some are transparent: a canvas changes the colours of those. */
function opaquePixels(bitmap) {
  const { width, height } = bitmap;
  const rows = Math.min(ROWS, height);
  const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
  if (!context) {
    throw new Error(`${width}x${height} pixels, which this browser cannot draw`);
  }
  const data = new Uint8Array(width * height * 3);
  for (let top = 0; top < height; top += rows) {
    const part = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, part, 0, 0, width, part);
    const rgba = context.getImageData(0, 0, width, part).data;
    for (let from = 0, to = top * width * 3; from < rgba.length; from += 4, to += 3) {
      if (rgba[from + 3] !== 255) {
        return null;
      }
      data[to] = rgba[from];
      data[to + 1] = rgba[from + 1];
      data[to + 2] = rgba[from + 2];
    }
  }
  return data;
}

/** Return the colours without the transparency, which is dropped. WebGL reads them unchanged. */
async function pixelsBelowAlpha(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (!gl) {
    throw new Error("a transparent image, whose colours this browser reads with WebGL only");
  }
  try {
    const data = new Uint8Array(width * height * 3);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    for (let top = 0; top < height; top += TILE) {
      for (let left = 0; left < width; left += TILE) {
        const wide = Math.min(TILE, width - left);
        const high = Math.min(TILE, height - top);
        const tile = await createImageBitmap(bitmap, left, top, wide, high, {
          premultiplyAlpha: "none",
          colorSpaceConversion: "none",
        });
        copyTile(data, width, left, top, tilePixels(gl, tile), wide);
        tile.close();
      }
    }
    return data;
  } finally {
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function tilePixels(gl, tile) {
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, tile);
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0,
  );
  const rgba = new Uint8Array(tile.width * tile.height * 4);
  gl.readPixels(0, 0, tile.width, tile.height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  if (gl.getError() !== gl.NO_ERROR) {
    throw new Error("a transparent image, whose colours WebGL could not read");
  }
  return rgba;
}

function copyTile(data, width, left, top, rgba, wide) {
  for (let pixel = 0; pixel < rgba.length / 4; pixel += 1) {
    const row = top + Math.floor(pixel / wide);
    const to = (row * width + left + (pixel % wide)) * 3;
    data.set(rgba.subarray(pixel * 4, pixel * 4 + 3), to);
  }
}
