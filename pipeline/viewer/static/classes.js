// The panel of classes: which are shown, from which probability and area on something is a lesion, and how many there are.

const MOST_AREA = 5000; // pixels of the photograph
const AREA_STEPS = 100; // of the slider, whose steps grow with the area

const areaOfStep = (step) => Math.round(MOST_AREA ** (step / AREA_STEPS));
const stepOfArea = (area) => Math.round(Math.log(area) / Math.log(MOST_AREA) * AREA_STEPS);

export class Classes {
  /** change(bit): a slider of a class was moved, or without it anything; complete(bit, isComplete): a class was said to be
   *  complete; choose(): a class was chosen. */
  constructor(element, {classes, colors, thresholds}, {change, complete, choose}) {
    Object.assign(this, {element, classes, colors, defaults: thresholds, change});
    this.thresholds = [...thresholds];
    this.areas = classes.map(() => null); // null: the model's
    this.ownAreas = classes.map(() => 1);
    this.visible = classes.map(() => true);
    this.chosen = 0;
    this.rows = classes.map((name, bit) => this.#row(name, bit, complete, choose));
    element.append(...this.rows.map((row) => row.element));
    this.#describe();
  }

  /** Bits of the classes that are shown. */
  get bits() {
    return this.visible.reduce((bits, isVisible, bit) => bits | (isVisible ? 1 << bit : 0), 0);
  }

  get point() {
    return {thresholds: this.thresholds, areas: this.areas};
  }

  leastArea(bit) {
    return this.areas[bit] ?? this.ownAreas[bit];
  }

  /** Takes the model's least areas for a photograph. */
  setOwnAreas(areas) {
    this.ownAreas = areas;
    this.#describe();
  }

  setCounts(counts) {
    this.rows.forEach((row, bit) => { row.count.textContent = counts === null ? "–" : String(counts[bit]); });
  }

  /** Shows boxes for complete classes, or hides them if `complete` is null. */
  setComplete(complete) {
    this.rows.forEach((row, bit) => {
      row.complete.parentElement.hidden = complete === null;
      row.complete.checked = complete?.has(bit) ?? false;
    });
  }

  /** Hides the sliders while corrections are drawn, which they do not change. */
  setSliders(areShown) {
    for (const {sliders} of this.rows) for (const slider of sliders) slider.hidden = !areShown;
  }

  choose(bit) {
    this.chosen = bit;
    this.#describe();
    this.change();
  }

  reset() {
    this.thresholds = [...this.defaults];
    this.areas = this.classes.map(() => null);
    this.#describe();
    this.change();
  }

  #row(name, bit, complete, choose) {
    const element = document.createElement("div");
    element.className = "class";
    const shown = box(`Show ${name}`, true), button = document.createElement("button"), count = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.style.setProperty("background", this.colors[bit]);
    button.type = "button";
    button.className = "name";
    button.append(swatch, name);
    button.title = `Choose ${name} to draw it or to see its probability`;
    count.className = "count";
    count.title = "lesions";
    const threshold = slider(`Threshold of ${name}`, "from", 1, 254), area = slider(`Least area of ${name}`, "least area", 0, AREA_STEPS);
    const isComplete = box("", false), line = document.createElement("label");
    line.className = "complete row";
    line.hidden = true;
    line.append(isComplete, `${name} is complete in this photograph`);
    element.append(shown, button, count, threshold.element, area.element, line);
    shown.addEventListener("change", () => {
      this.visible[bit] = shown.checked;
      this.change();
    });
    button.addEventListener("click", () => {
      this.choose(bit);
      choose();
    });
    threshold.input.addEventListener("input", () => {
      this.thresholds[bit] = threshold.input.valueAsNumber / 255;
      this.#describe();
      this.change(bit);
    });
    area.input.addEventListener("input", () => {
      this.areas[bit] = areaOfStep(area.input.valueAsNumber);
      this.#describe();
      this.change(bit);
    });
    isComplete.addEventListener("change", () => complete(bit, isComplete.checked));
    return {element, button, count, threshold, area, complete: isComplete, sliders: [threshold.element, area.element]};
  }

  #describe() {
    this.rows.forEach(({element, button, threshold, area}, bit) => {
      element.classList.toggle("chosen", bit === this.chosen);
      button.setAttribute("aria-pressed", String(bit === this.chosen));
      threshold.input.value = Math.round(this.thresholds[bit] * 255);
      threshold.output.textContent = this.thresholds[bit].toFixed(3);
      area.input.value = stepOfArea(this.leastArea(bit));
      area.output.textContent = `${this.leastArea(bit)} px`;
      area.input.setAttribute("aria-valuetext", area.output.textContent);
      threshold.input.setAttribute("aria-valuetext", threshold.output.textContent);
    });
  }
}

function box(label, isChecked) {
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = isChecked;
  if (label) input.setAttribute("aria-label", label);
  return input;
}

function slider(label, text, min, max) {
  const element = document.createElement("div"), input = document.createElement("input"), output = document.createElement("output");
  element.className = "slider";
  const caption = document.createElement("span");
  caption.textContent = text;
  Object.assign(input, {type: "range", min, max, step: 1});
  input.setAttribute("aria-label", label);
  element.append(caption, input, output);
  return {element, input, output};
}
