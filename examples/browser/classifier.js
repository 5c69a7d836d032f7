// A bundle's model: image file in, probabilities out.

import { readImage } from "./image_file.js";
import { open, Tensor } from "./runtime.js";

export class Classifier {
  /** @param {string} bundle address of the unzipped bundle, with a slash at its end */
  static async load(bundle) {
    const names = JSON.parse(await (await asset(bundle, "class_names.json")).text());
    if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
      throw new Error("class_names.json: expected a list of names");
    }
    const session = await open(await (await asset(bundle, "model.onnx")).arrayBuffer());
    if (session.inputNames.join() !== "image" || session.outputNames.join() !== "probabilities") {
      throw new Error(
        "model.onnx: expected one with its preprocessing inside, from image to probabilities; " +
          `found ${session.inputNames} to ${session.outputNames}; ` +
          "make the bundle with embedded=true",
      );
    }
    return new Classifier(bundle, names, session);
  }

  constructor(bundle, names, session) {
    this.bundle = bundle;
    this.names = names;
    this.session = session;
  }

  /**
   * @param {Blob} file
   * @returns {Promise<Float32Array>} a probability for each class
   * @throws {Error} it is no image, or the model gives no probabilities
   */
  async probabilities(file) {
    const { data, height, width } = await readImage(file);
    const image = new Tensor("uint8", data, [height, width, 3]);
    const { probabilities } = await this.session.run({ image });
    const values = probabilities.data;
    if (values.length !== this.names.length || !values.every(Number.isFinite)) {
      throw new Error(`expected ${this.names.length} finite probabilities, found others`);
    }
    return values;
  }

  /** Return the likeliest classes, the likeliest first; the first one of two that are equal. */
  likeliest(probabilities, count) {
    const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
    return order.slice(0, count).map((index) => ({
      class: this.names[index],
      probability: probabilities[index],
    }));
  }

  /** Compare with expected.json as `predict.py --check` does; return the difference, or throw. */
  async check() {
    const expected = JSON.parse(await (await asset(this.bundle, "expected.json")).text());
    const image = await (await asset(this.bundle, encodeURIComponent(expected.image))).blob();
    const probabilities = await this.probabilities(image);
    if (expected.probabilities.length !== probabilities.length) {
      throw new Error(`expected ${expected.probabilities.length} classes`);
    }
    const differences = expected.probabilities.map((value, index) =>
      Math.abs(value - probabilities[index]),
    );
    const [best] = this.likeliest(probabilities, 1);
    if (best.class !== expected.class) {
      throw new Error(`expected the class ${expected.class}, found ${best.class}`);
    }
    const largest = Math.max(...differences);
    if (!(largest <= expected.tolerance)) {
      throw new Error(`expected a difference of ${expected.tolerance} at most, found ${largest}`);
    }
    return `${expected.image}: ${best.class}, probabilities within ${largest.toPrecision(2)}`;
  }
}

/** Return the response with a file of the bundle; throw if there is none. */
export async function asset(bundle, name) {
  const response = await fetch(new URL(name, bundle));
  if (!response.ok) {
    throw new Error(`${name}: expected it in ${bundle}, found none; unzip a bundle there`);
  }
  return response;
}
