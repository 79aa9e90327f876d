// The labels of a photograph while a person corrects them, with undo and redo. Bit c of a pixel is class c.

const MOST_REMEMBERED = 40_000_000; // changed pixels of all steps, 8 bytes each
const LEAST_STEPS = 50; // that can be undone, however large

/** A list of changed pixels that grows. */
class Changes {
  constructor() {
    this.length = 0;
    this.places = new Uint32Array(1024);
    this.before = new Uint16Array(1024);
    this.after = new Uint16Array(1024);
  }

  push(place, before, after) {
    if (this.length === this.places.length) {
      for (const name of ["places", "before", "after"]) {
        const larger = new this[name].constructor(2 * this.length);
        larger.set(this[name]);
        this[name] = larger;
      }
    }
    this.places[this.length] = place;
    this.before[this.length] = before;
    this.after[this.length++] = after;
  }

  /** Gives back what was reserved but not used. */
  close() {
    for (const name of ["places", "before", "after"]) this[name] = this[name].slice(0, this.length);
    return this;
  }
}

export class Editor {
  /** lesion, ignored: Uint8Array of height·width; complete: Set of class numbers. */
  constructor({width, height, lesion, ignored, complete}) {
    Object.assign(this, {width, height, lesion, ignored, complete});
    this.done = [];
    this.undone = [];
    this.step = null;
    this.edits = 0; // counts every change, undone ones too: what has been saved is compared with it
  }

  begin() {
    this.step = new Changes();
  }

  /** Ends a step. Returns whether it changed anything. */
  end() {
    const step = this.step;
    this.step = null;
    if (step === null || step.length === 0) return false;
    this.#remember(step.close());
    return true;
  }

  /** Sets the bits of a pixel, within a step. */
  #set(place, lesion, ignored) {
    const before = this.lesion[place] | (this.ignored[place] << 8), after = lesion | (ignored << 8);
    if (before === after) return;
    this.step.push(place, before, after);
    this.lesion[place] = lesion;
    this.ignored[place] = ignored;
  }

  /** Applies a tool to a pixel: "draw", "erase" or "ignore" the classes of `bits`. */
  #apply(tool, place, bits) {
    const lesion = this.lesion[place], ignored = this.ignored[place];
    if (tool === "draw") this.#set(place, lesion | bits, ignored & ~bits);
    else if (tool === "erase") this.#set(place, lesion & ~bits, ignored & ~bits);
    else this.#set(place, lesion, ignored | bits);
  }

  /** Applies a tool to a row of pixels, from `left` to before `right`, as far as they lie in the photograph. */
  #applyToRow(tool, y, left, right, bits) {
    if (y < 0 || y >= this.height) return;
    const first = y * this.width + Math.max(left, 0), last = y * this.width + Math.min(right, this.width);
    for (let place = first; place < last; place++) this.#apply(tool, place, bits);
  }

  /** Applies a tool along a line with a round brush; places are in pixels, and pixel 0 reaches from 0 to 1. */
  stroke(tool, bits, from, to, radius) {
    const distance = Math.hypot(to.x - from.x, to.y - from.y);
    const steps = Math.max(Math.ceil(distance / Math.max(radius / 3, 0.5)), 1);
    for (let step = 0; step <= steps; step++) {
      const x = from.x + (to.x - from.x) * step / steps, y = from.y + (to.y - from.y) * step / steps;
      this.#disc(tool, bits, x, y, radius);
    }
    return boxAround([from, to], radius + 1);
  }

  #disc(tool, bits, x, y, radius) {
    for (let row = Math.floor(y - radius); row <= y + radius; row++) {
      const reach = radius * radius - (row + 0.5 - y) ** 2;
      if (reach < 0) continue;
      const half = Math.sqrt(reach);
      this.#applyToRow(tool, row, Math.round(x - half), Math.max(Math.round(x + half), Math.round(x - half) + 1), bits);
    }
  }

  /** Applies a tool inside a polygon: to the pixels whose middle lies in it, by the even-odd rule. */
  polygon(tool, bits, points) {
    const box = boxAround(points, 1);
    for (let row = Math.max(Math.floor(box.top), 0); row < Math.min(box.bottom, this.height); row++) {
      const middle = row + 0.5;
      const crossings = [];
      points.forEach((one, index) => {
        const other = points[(index + 1) % points.length];
        if ((one.y <= middle) !== (other.y <= middle)) {
          crossings.push(one.x + (middle - one.y) / (other.y - one.y) * (other.x - one.x));
        }
      });
      crossings.sort((one, other) => one - other);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        this.#applyToRow(tool, row, Math.round(crossings[pair]), Math.round(crossings[pair + 1]), bits);
      }
    }
    return box;
  }

  /** Removes the 8-connected lesion of one class at a pixel. Returns its box, or null if there is none. */
  reject(bit, x, y) {
    return this.#flood(x, y, (place) => (this.lesion[place] >> bit & 1) === 1, "erase", 1 << bit);
  }

  /** Draws what a function of (x, y) says belongs to the region at a pixel, at most `most` pixels. */
  accept(bit, x, y, belongs, most) {
    const inside = (place) => belongs(place % this.width, Math.floor(place / this.width));
    return this.#flood(x, y, inside, "draw", 1 << bit, most);
  }

  #flood(x, y, belongs, tool, bits, most = Infinity) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height || !belongs(y * this.width + x)) return null;
    const seen = new Set([y * this.width + x]);
    const corners = {left: x, top: y, right: x + 1, bottom: y + 1};
    for (const place of seen) { // a set is walked in the order in which it grows
      if (seen.size > most) return null;
      const column = place % this.width, row = (place - column) / this.width;
      corners.left = Math.min(corners.left, column);
      corners.right = Math.max(corners.right, column + 1);
      corners.top = Math.min(corners.top, row);
      corners.bottom = Math.max(corners.bottom, row + 1);
      for (let ny = Math.max(row - 1, 0); ny <= Math.min(row + 1, this.height - 1); ny++) {
        for (let nx = Math.max(column - 1, 0); nx <= Math.min(column + 1, this.width - 1); nx++) {
          const other = ny * this.width + nx;
          if (!seen.has(other) && belongs(other)) seen.add(other);
        }
      }
    }
    for (const place of seen) this.#apply(tool, place, bits);
    return corners;
  }

  /** Says whether all lesions of a class are drawn; a step of its own. */
  setComplete(bit, isComplete) {
    if (this.complete.has(bit) === isComplete) return;
    this.#toggleComplete(bit);
    this.#remember({complete: bit, length: 0});
  }

  #toggleComplete(bit) {
    if (!this.complete.delete(bit)) this.complete.add(bit);
  }

  #remember(step) {
    this.done.push(step);
    this.undone = [];
    this.edits++;
    let pixels = this.done.reduce((sum, one) => sum + one.length, 0);
    while (pixels > MOST_REMEMBERED && this.done.length > LEAST_STEPS) pixels -= this.done.shift().length;
  }

  /** Returns whether there was a step to undo. */
  undo() {
    return this.#move(this.done, this.undone, "before");
  }

  redo() {
    return this.#move(this.undone, this.done, "after");
  }

  #move(from, to, side) {
    const step = from.pop();
    if (step === undefined) return false;
    if ("complete" in step) this.#toggleComplete(step.complete);
    else {
      const values = step[side];
      for (let index = 0; index < step.length; index++) {
        this.lesion[step.places[index]] = values[index] & 255;
        this.ignored[step.places[index]] = values[index] >> 8;
      }
    }
    to.push(step);
    this.edits++;
    return true;
  }

  /** Returns both planes one after the other, as they are saved. */
  bytes() {
    const both = new Uint8Array(2 * this.lesion.length);
    both.set(this.lesion);
    both.set(this.ignored, this.lesion.length);
    return both;
  }
}

function boxAround(points, margin) {
  const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
  return {
    left: Math.min(...xs) - margin, right: Math.max(...xs) + margin,
    top: Math.min(...ys) - margin, bottom: Math.max(...ys) + margin,
  };
}
