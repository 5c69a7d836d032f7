// An ONNX file with its preprocessing inside, from Node.
//
// python -m src.bundle RUN --format onnx_fp32 embedded=true -o model.zip && unzip model.zip
// cd examples/node && npm install && node classify.mjs ../../model IMAGE...

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

const [bundle, ...paths] = process.argv.slice(2);
const classNames = JSON.parse(readFileSync(join(bundle, "class_names.json"), "utf8"));
const session = await InferenceSession.create(join(bundle, "model.onnx"));
for (const path of paths) {
  // Upright by its EXIF orientation, three channels of eight bits, whatever it was. CMYK is
  // converted by a colour profile here, which Pillow does not do.
  let picture;
  try {
    picture = await sharp(path)
      .rotate()
      .toColourspace("srgb")
      .removeAlpha()
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
  } catch (error) {
    console.error(`${path}: ${error.message}`);
    continue;
  }
  const { data, info } = picture;
  const image = new Tensor("uint8", data, [info.height, info.width, info.channels]);
  const { probabilities } = await session.run({ image });
  const values = Array.from(probabilities.data);
  const best = values.indexOf(Math.max(...values));
  console.log(JSON.stringify({ image: path, class: classNames[best], probabilities: values }));
}
