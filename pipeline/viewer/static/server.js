// What the page asks its server for.

/** An answer that is an error, with what the server says of it. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(address, options = {}) {
  const answer = await fetch(address, options);
  if (!answer.ok) throw new Refused(answer.status, await answer.text());
  return answer;
}

export const session = async () => (await ask("/api/session")).json();

export const thumbnail = (number) => `/api/photographs/${number}/thumbnail`;

/** What has changed since a version; the server also notes which photograph this window shows. */
export async function news(since, window, shown) {
  const query = new URLSearchParams({since, window});
  if (shown !== null) query.set("shown", shown);
  return (await ask(`/api/news?${query}`)).json();
}

/** Says that this window shows nothing any more, as the page is being left. */
export function leave(window) {
  fetch(`/api/news?${new URLSearchParams({since: 0, window})}`, {keepalive: true});
}

export async function upload(file) {
  const query = new URLSearchParams({name: file.name});
  return (await ask(`/api/photographs?${query}`, {method: "POST", body: file})).json();
}

export const remove = (number) => ask(`/api/photographs/${number}`, {method: "DELETE"});

export async function photograph(number) {
  return createImageBitmap(await (await ask(`/api/photographs/${number}/photograph`)).blob());
}

export async function tile(number, row, column) {
  return createImageBitmap(await (await ask(`/api/photographs/${number}/tiles/${row}/${column}`)).blob());
}

/** The levels of each class at the network's scale and, if there is one, their spread. */
export async function maps(number, classes, [height, width], hasSpread) {
  const all = new Uint8Array(await (await ask(`/api/photographs/${number}/map`)).arrayBuffer());
  const plane = (index) => ({levels: all.subarray(index * height * width, (index + 1) * height * width), height, width});
  const planes = (first) => Array.from({length: classes}, (_, index) => plane(first + index));
  return {probabilities: planes(0), spreads: hasSpread ? planes(classes) : null};
}

/** Labels to correct: {lesion, ignored, complete, revision, by, saved, there}. */
export async function labels(number, point) {
  const answer = await ask(`/api/photographs/${number}/labels?${pointQuery(point)}`);
  const told = JSON.parse(answer.headers.get("X-Labels"));
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return {...told, lesion: bytes.subarray(0, bytes.length / 2), ignored: bytes.subarray(bytes.length / 2)};
}

/** Saves labels. Returns {revision, by, saved}; throws Refused with status 409 if somebody else has saved since. */
export async function save(number, bytes, told) {
  const packed = new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip")));
  const ascii = JSON.stringify(told).replace(/[\u0080-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const options = {method: "PUT", body: await packed.blob(), headers: {"X-Labels": ascii}};
  return (await ask(`/api/photographs/${number}/labels`, options)).json();
}

export const training = async () => (await ask("/api/training")).json();

const asJson = (method, content) => ({method, body: JSON.stringify(content), headers: {"Content-Type": "application/json"}});

/** Begins a training of some {minutes}, or goes on with the one that was stopped, {continue: true}. */
export const train = (what) => ask("/api/training", asJson("POST", what));

export const stopTraining = () => ask("/api/training", {method: "DELETE"});

/** Exchanges the model of the page: "new" or "first". */
export const useModel = (which) => ask("/api/model", asJson("PUT", {model: which}));

export function takeAwayAddress(parts, point, number = null) {
  return `/api/take_away?parts=${parts.join(",")}&${pointQuery(point)}${number === null ? "" : `&case=${number}`}`;
}

/** An operating point: thresholds from 0 to 1, and least areas in pixels, null where the model's counts. */
function pointQuery({thresholds, areas}) {
  return new URLSearchParams({thresholds: thresholds.join(","), areas: areas.map((area) => area ?? "").join(",")});
}
