// The page: files in, the five likeliest classes of each out.

import { Classifier } from "./classifier.js";
import { takeExam } from "./exam.js";

const TOP = 5;
const byId = (id) => document.getElementById(id);

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").className = isError ? "error" : "";
}

function element(name, text = "", isError = false) {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = isError ? "error" : "";
  return made;
}

async function show(classifier, file) {
  const article = document.createElement("article");
  const answer = document.createElement("div");
  answer.append(element("h2", file.name));
  byId("answers").prepend(article);
  try {
    const probabilities = await classifier.probabilities(file);
    const table = document.createElement("table");
    for (const top of classifier.likeliest(probabilities, TOP)) {
      const row = table.insertRow();
      row.insertCell().textContent = top.class;
      row.insertCell().textContent = `${(100 * top.probability).toFixed(2)} %`;
    }
    answer.append(table);
    const image = document.createElement("img");
    image.alt = "";
    image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(file);
    article.append(image);
  } catch (error) {
    answer.append(element("p", `${file.name}: ${error.message}`, true));
  }
  article.append(answer);
}

async function check(classifier) {
  try {
    say(await classifier.check());
    document.title = "check passed";
  } catch (error) {
    say(`check failed: ${error.message}`, true);
    document.title = "check failed";
  }
}

async function exam(classifier) {
  try {
    const { text, problems } = await takeExam(classifier, (done, count) =>
      say(`Exam: ${done} of ${count} images.`),
    );
    const result = problems.length ? `exam failed: ${problems.join("; ")}. ` : "exam passed: ";
    say(result + text, problems.length > 0);
    document.title = problems.length ? "exam failed" : "exam passed";
  } catch (error) {
    say(`exam failed: ${error.message}`, true);
    document.title = "exam failed";
  }
}

async function keepOffline() {
  if (!("serviceWorker" in navigator)) {
    byId("offline").textContent = "This browser keeps no copy: the page needs its server.";
    return;
  }
  try {
    await navigator.serviceWorker.register("service_worker.js");
    await navigator.serviceWorker.ready;
    byId("offline").textContent = "This page works without a network now.";
  } catch (error) {
    byId("offline").textContent = `The page needs its server: ${error.message}`;
  }
}

async function start() {
  let classifier;
  try {
    classifier = await Classifier.load(new URL("model/", document.baseURI).href);
  } catch (error) {
    say(error.message, true);
    document.title = "failed";
    return;
  }
  say(`Ready: ${classifier.names.length} classes.`);
  if (location.hash === "#check") {
    await check(classifier);
  } else if (location.hash === "#exam") {
    await exam(classifier);
  }
  const input = byId("files");
  input.disabled = false;
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.disabled = true;
    for (const file of files) {
      await show(classifier, file);
    }
    input.value = "";
    input.disabled = false;
  });
  await keepOffline();
}

start();
