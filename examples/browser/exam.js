// The exam of a bundle, taken in this browser: its answers beside those of where it was packed.

import { readArrays } from "./arrays.js";
import { asset } from "./classifier.js";
import { wilson } from "./interval.js";

const MOST_IMAGES = 512;
const VERSION = 1;

/**
 * @param {Classifier} classifier
 * @param {(done: number, count: number) => void} report called after each image
 * @returns {Promise<{text: string, problems: string[]}>} the exam holds without problems
 * @throws {Error} there is no exam, or it cannot be taken here
 */
export async function takeExam(classifier, report = () => {}) {
  const exam = await readExam(classifier);
  const problems = await problemsOf(classifier, exam);
  const seconds = [];
  const answers = { flips: 0, right: 0, rightAtHome: 0, difference: 0 };
  for (const [index, name] of exam.images.entries()) {
    const image = await (await asset(classifier.bundle, `exam/${name}`)).blob();
    const started = performance.now();
    const found = await classifier.probabilities(image).catch((error) => {
      throw new Error(`exam/${name}: ${error.message}`);
    });
    seconds.push((performance.now() - started) / 1000);
    count(answers, found, exam.probabilities(index), exam.labels[index]);
    report(index + 1, exam.images.length);
  }
  if (!(answers.difference <= exam.tolerance)) {
    problems.push(
      `a probability differs by ${answers.difference.toPrecision(2)} from that of where the model ` +
        `was packed, ${exam.tolerance} is due`,
    );
  }
  return { text: inWords(exam, answers, seconds), problems };
}

async function readExam(classifier) {
  const facts = JSON.parse(await (await asset(classifier.bundle, "exam/exam.json")).text());
  const { schema_version: version, images, class_names: names, content, tolerance } = facts;
  if (
    version !== VERSION || !Array.isArray(images) || !Array.isArray(names) || !(tolerance >= 0)
  ) {
    throw new Error(`exam/exam.json: expected an exam of version ${VERSION}, found another file`);
  }
  if (content !== "images") {
    throw new Error("exam: expected image files, found arrays; pack it without exam_content=tensors");
  }
  if (images.length > MOST_IMAGES || !images.every((name) => /^\w[\w.-]*$/.test(name))) {
    throw new Error(`exam/exam.json: expected up to ${MOST_IMAGES} names of images in its folder`);
  }
  const file = await asset(classifier.bundle, "exam/answers.npz");
  const { labels, answers } = readArrays(await file.arrayBuffer());
  const [rows, classes] = answers?.shape ?? [];
  if (
    rows !== images.length || labels?.shape.join() !== `${rows}` ||
    classes !== classifier.names.length || !answers.values.every(Number.isFinite)
  ) {
    throw new Error("exam/answers.npz: expected an answer of each class to each image");
  }
  const row = (index) => answers.values.subarray(index * classes, (index + 1) * classes);
  return { ...facts, labels: labels.values, probabilities: (index) => softmax(row(index)) };
}

async function problemsOf(classifier, exam) {
  const problems = [];
  const wrong = exam.class_names.findIndex((name, index) => name !== classifier.names[index]);
  if (wrong !== -1) {
    problems.push(`the class ${wrong} has another name than where the model was packed`);
  }
  const packed = exam.model_files?.["model.onnx"];
  if (globalThis.crypto?.subtle) {
    const model = await (await asset(classifier.bundle, "model.onnx")).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", model));
    const hash = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hash !== packed) {
      problems.push("model.onnx is another file than was packed");
    }
  }
  return problems;
}

function count(answers, found, expected, label) {
  const [here, atHome] = [first(found), first(expected)];
  answers.flips += here !== atHome;
  answers.right += here === label;
  answers.rightAtHome += atHome === label;
  for (const [index, value] of expected.entries()) {
    answers.difference = Math.max(answers.difference, Math.abs(value - found[index]));
  }
}

function inWords(exam, answers, seconds) {
  const images = exam.images.length;
  const [low, high] = wilson(answers.flips, images);
  const percent = (share) => `${(100 * share).toFixed(2)} %`;
  const median = [...seconds].sort((a, b) => a - b)[Math.floor((images - 1) / 2)];
  const isHome = answers.flips === 0 && exam.measured_verdict;
  return (
    `${answers.flips} of ${images} answers flip (95 % interval ${percent(low)} to ` +
    `${percent(high)}). Top-1 is ${percent(answers.right / images)} here and ` +
    `${percent(answers.rightAtHome / images)} where the model was packed. Probabilities differ by ` +
    `${answers.difference.toPrecision(2)} at most. From a file to its answer: ` +
    `${(1000 * median).toFixed(1)} ms at the median.` +
    (isHome ? ` The verdict of the measurement there: ${exam.measured_verdict}.` : "")
  );
}

const first = (values) => values.indexOf(Math.max(...values)); // of two that are equal

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
