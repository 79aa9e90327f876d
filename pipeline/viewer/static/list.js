// The list of photographs: thumbnails, what is known of each, and its order.

import * as server from "./server.js";

const LOADING = 2; // thumbnails that are asked for at once: the server makes them one by one, and more important things wait
const collator = new Intl.Collator(undefined, {numeric: true});
const ORDERS = {
  name: (one, other) => collator.compare(one.name, other.name),
  wrong: (one, other) => (other.wrong ?? -1) - (one.wrong ?? -1),
  warnings: (one, other) => (other.facts?.warnings.length ?? -1) - (one.facts?.warnings.length ?? -1),
  lesions: (one, other) => lesionsOf(other) - lesionsOf(one),
};

const lesionsOf = (photograph) => photograph.lesions?.reduce((sum, count) => sum + count, 0) ?? -1;

export class List {
  /** open(number): a photograph was chosen. */
  constructor(element, empty, open) {
    Object.assign(this, {element, empty, open});
    this.order = "name";
    this.photographs = new Map();
    this.items = new Map();
    this.shown = null;
    this.waiting = new Set(); // thumbnails that are to be loaded
    this.loading = 0;
    this.seen = new IntersectionObserver((entries) => this.#see(entries), {rootMargin: "200px"});
  }

  /** Takes over what has changed, and forgets what is not among all numbers any more. */
  update(changed, numbers) {
    for (const photograph of changed) {
      this.photographs.set(photograph.number, photograph);
      if (!this.items.has(photograph.number)) this.items.set(photograph.number, this.#item(photograph.number));
      this.#describe(photograph);
    }
    const there = new Set(numbers);
    for (const number of [...this.photographs.keys()].filter((one) => !there.has(one))) {
      this.items.get(number).remove();
      this.items.delete(number);
      this.photographs.delete(number);
    }
    this.empty.hidden = this.photographs.size > 0;
    if (changed.length > 0) this.sort();
  }

  sort(order = this.order) {
    this.order = order;
    const sorted = this.sorted();
    const isInPlace = sorted.every((photograph, index) => this.element.children[index] === this.items.get(photograph.number));
    if (isInPlace) return;
    const focused = document.activeElement;
    this.element.append(...sorted.map((photograph) => this.items.get(photograph.number)));
    if (this.element.contains(focused)) focused.focus();
  }

  sorted() {
    const byName = [...this.photographs.values()].sort(ORDERS.name);
    return this.order === "name" ? byName : byName.sort(ORDERS[this.order]);
  }

  /** Marks the photograph that is shown. */
  mark(number) {
    this.shown = number;
    for (const [one, item] of this.items) item.firstChild.setAttribute("aria-current", String(one === number));
    this.items.get(number)?.scrollIntoView({block: "nearest", inline: "nearest"});
  }

  /** Returns the number of the photograph that is some places further in the list, or null. */
  beside(step) {
    const sorted = this.sorted();
    const place = sorted.findIndex((photograph) => photograph.number === this.shown);
    return sorted[place + step]?.number ?? null;
  }

  /** Loads thumbnails that have come into view, and forgets those that have left it before it was their turn. */
  #see(entries) {
    for (const {target, isIntersecting} of entries) {
      if (!isIntersecting) this.waiting.delete(target);
      else if (!target.src) this.waiting.add(target);
    }
    this.#load();
  }

  #load() {
    for (const image of this.waiting) {
      if (this.loading === LOADING) return;
      this.waiting.delete(image);
      this.loading++;
      this.seen.unobserve(image);
      image.onload = image.onerror = () => {
        this.loading--;
        this.#load();
      };
      image.src = server.thumbnail(image.dataset.number);
    }
  }

  #item(number) {
    const item = document.createElement("li"), button = document.createElement("button");
    const image = document.createElement("img"), text = document.createElement("div");
    button.type = "button";
    image.alt = "";
    image.dataset.number = number;
    this.seen.observe(image);
    button.append(image, text);
    button.addEventListener("click", () => this.open(number));
    button.setAttribute("aria-current", "false");
    item.append(button);
    return item;
  }

  #describe(photograph) {
    const text = this.items.get(photograph.number).querySelector("div");
    const name = document.createElement("strong"), state = document.createElement("span"), flags = document.createElement("span");
    name.textContent = photograph.name;
    state.textContent = stateOf(photograph);
    flags.className = "flag";
    const warnings = photograph.facts?.warnings.length ?? 0;
    const doubt = document.createElement("span");
    doubt.textContent = photograph.wrong === null ? "" : `about ${short(photograph.wrong)} px wrong`;
    flags.textContent = [
      warnings > 0 ? `${warnings} warning${warnings === 1 ? "" : "s"}` : "", photograph.corrected ? "corrected" : "",
    ].filter(Boolean).join(", ");
    text.replaceChildren(name, ...[state, doubt, flags].filter((one) => one.textContent !== ""));
  }
}

function stateOf({state, lesions}) {
  if (state === "failed") return "cannot be read";
  if (state === "working") return "being segmented…";
  if (state === "waiting") return "waiting";
  if (lesions === null) return "ready";
  const count = lesions.reduce((sum, one) => sum + one, 0);
  return `${count} lesions`;
}

const short = (number) => number < 10_000 ? String(number) : `${Math.round(number / 1000)}k`;
