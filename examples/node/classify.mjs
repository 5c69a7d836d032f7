// An ONNX file with its preprocessing inside, from Node.
//
// python -m src.bundle RUN --format onnx_fp32 embedded=true -o model.zip && unzip model.zip
// cd examples/node && npm install && node classify.mjs ../../model IMAGE...
//
// An image that cannot be read is a line on standard error, and the exit code is 1.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { sessionOptions } from "./processor.mjs";

const [bundle, ...paths] = process.argv.slice(2);
if (paths.length === 0) {
  console.error("error: expected the folder of a bundle and images; node classify.mjs model IMAGE...");
  process.exit(1);
}

async function opened() {
  try {
    const names = JSON.parse(readFileSync(join(bundle, "class_names.json"), "utf8"));
    const session = await InferenceSession.create(join(bundle, "model.onnx"), sessionOptions());
    if (session.inputNames.join() !== "image") {
      throw new Error("no preprocessing inside; make the bundle with embedded=true");
    }
    return { names, session };
  } catch (error) {
    console.error(`error: ${bundle} cannot be opened: ${error.message}`);
    process.exit(1);
  }
}

// Upright by its EXIF orientation, three channels of eight bits, whatever it was. CMYK is converted
// by a colour profile here, which Pillow does not do.
function pixels(path) {
  return sharp(path)
    .rotate()
    .toColourspace("srgb")
    .removeAlpha()
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
}

async function probabilities(session, path) {
  const { data, info } = await pixels(path);
  const image = new Tensor("uint8", data, [info.height, info.width, info.channels]);
  const values = Array.from((await session.run({ image })).probabilities.data);
  if (!values.every(Number.isFinite)) {
    throw new Error("the model gives no finite probabilities");
  }
  return values;
}

const { names, session } = await opened();
for (const path of paths) {
  try {
    const values = await probabilities(session, path);
    const best = values.indexOf(Math.max(...values));
    console.log(JSON.stringify({ image: path, class: names[best], probabilities: values }));
  } catch (error) {
    console.error(`${path}: ${error.message}`);
    process.exitCode = 1;
  }
}
