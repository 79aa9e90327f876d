// Lesions of the labels that a person draws, counted while they change: runs of pixels by row, joined to regions.

const PAUSE = 80; // milliseconds from a change to the next count, which takes a few of them

export class LesionCounter {
  /** editor: whose labels are counted; classes: their number; told(): there is a new count. */
  constructor(editor, classes, told) {
    Object.assign(this, {editor, classes, told});
    this.rows = new Array(editor.height).fill(null); // of each: [bit, first, last, …], null without lesions
    this.timer = null;
    this.#read(0, editor.height);
    this.regions = this.#join();
  }

  /** Notes that labels within a box have changed, or everywhere if it is null. */
  change(box) {
    const top = Math.max(Math.floor(box?.top ?? 0), 0), bottom = Math.min(Math.ceil(box?.bottom ?? this.editor.height) + 1, this.editor.height);
    this.#read(top, bottom);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.regions = this.#join();
      this.told();
    }, PAUSE);
  }

  #read(top, bottom) {
    const {lesion, width} = this.editor;
    const began = new Int32Array(8);
    for (let y = top; y < bottom; y++) {
      const start = y * width, runs = [];
      let before = 0;
      for (let x = 0; x <= width; x++) {
        const here = x < width ? lesion[start + x] : 0;
        if (here === before) continue;
        for (let bits = here ^ before; bits !== 0; bits &= bits - 1) {
          const bit = 31 - Math.clz32(bits & -bits);
          if (here >> bit & 1) began[bit] = x;
          else runs.push(bit, began[bit], x - 1);
        }
        before = here;
      }
      this.rows[y] = runs.length > 0 ? Int32Array.from(runs) : null;
    }
  }

  /** Returns for each class the regions {x, y}, means of their pixels, of runs that touch, also at corners. */
  #join() {
    const parents = [], sums = [];
    const rootOf = (one) => {
      while (parents[one] !== one) one = parents[one] = parents[parents[one]];
      return one;
    };
    let above = [];
    this.rows.forEach((runs, y) => {
      const here = [];
      for (let place = 0; runs !== null && place < runs.length; place += 3) {
        const [bit, first, last] = [runs[place], runs[place + 1], runs[place + 2]], own = parents.length, area = last - first + 1;
        parents.push(own);
        sums.push({bit, area, x: area * (first + last) / 2, y: area * y});
        here.push({bit, first, last, own});
        for (const other of above) {
          if (other.bit === bit && other.first <= last + 1 && other.last >= first - 1) parents[rootOf(other.own)] = rootOf(own);
        }
      }
      above = here;
    });
    const regions = Array.from({length: this.classes}, () => []), byRoot = new Map();
    sums.forEach(({bit, area, x, y}, one) => {
      const root = rootOf(one);
      if (!byRoot.has(root)) {
        byRoot.set(root, {area: 0, x: 0, y: 0});
        regions[bit].push(byRoot.get(root));
      }
      const region = byRoot.get(root);
      region.area += area;
      region.x += x;
      region.y += y;
    });
    for (const region of byRoot.values()) {
      region.x /= region.area;
      region.y /= region.area;
    }
    return regions;
  }
}
