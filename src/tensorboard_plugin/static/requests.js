// Requests to the server. Addresses are relative to this module, so a path prefix is kept.
const BASE = new URL("../", import.meta.url);

/** An answer that is an error; the message is the server's own sentence where it sent one. */
export class ServerError extends Error {}

/** Return the address of an answer. A value may be a list: the key is repeated then. */
export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [key, value] of Object.entries(query)) {
    for (const item of [value].flat()) url.searchParams.append(key, item);
  }
  return url.href;
}

export async function getJson(path, query, signal) {
  return (await get(path, query, signal)).json();
}

export async function getText(path, query, signal) {
  return (await get(path, query, signal)).text();
}

/** Raise the error of an answer; if there is none, its content is not awaited. */
export async function check(path, query, signal) {
  await (await get(path, query, signal)).body?.cancel();
}

async function get(path, query, signal) {
  let answer;
  try {
    answer = await fetch(address(path, query), { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("TensorBoard does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  let sentence = `The server answered ${answer.status} to ${path}.`;
  try {
    sentence = (await answer.json()).error ?? sentence;
  } catch (error) {
    if (error.name === "AbortError") throw error; // else the answer is no JSON, and says nothing more
  }
  throw new ServerError(sentence);
}
