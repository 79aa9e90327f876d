// Correcting: tools that change the labels of the photograph, and saving them by themselves.

import {Editor} from "./editor.js";
import {Refused, labels, save} from "./server.js";

const PAUSE = 1200; // milliseconds without a change after which labels are saved
const MOST_ACCEPTED = 400_000; // pixels of a lesion that one click draws
const LEAST_LEVEL = 3; // of a lesion that the model suspects, of 255

export class Correcting {
  /**
   * photograph: as the list has it; detections: those of the photograph; point: the operating point that it starts from;
   * actions: {paint(box), labels have changed; told(), what is known of saving has changed; by(), who corrects;
   *   chosen(), the bit of the chosen class; conflict(theirs)}
   */
  static async open(photograph, detections, point, actions) {
    const there = await labels(photograph.number, point);
    return new Correcting(photograph, detections, point, actions, there);
  }

  constructor(photograph, detections, point, actions, there) {
    Object.assign(this, {photograph, detections, actions});
    this.startedFrom = {thresholds: [...point.thresholds], areas: point.areas.map((area, bit) => area ?? photograph.facts.areas[bit])};
    const [height, width] = photograph.facts.size;
    this.editor = new Editor({width, height, lesion: there.lesion, ignored: there.ignored, complete: new Set()});
    this.classNames = actions.classNames;
    for (const name of there.complete) this.editor.complete.add(this.classNames.indexOf(name));
    this.revision = there.revision;
    this.savedBy = there.by;
    this.savedAt = there.saved;
    this.savedEdits = 0;
    this.problem = "";
    this.corners = [];
    this.last = null;
    this.timer = null;
    this.saving = Promise.resolve();
  }

  get isSaved() {
    return this.editor.edits === this.savedEdits;
  }

  /** Returns whether a tool is drawn by dragging. */
  static isBrush(tool) {
    return tool === "brush" || tool === "eraser" || tool === "ignore";
  }

  /** Begins to use a tool {name, radius, isForAll} at a place of the photograph. */
  down(tool, place) {
    const bit = this.actions.chosen();
    if (Correcting.isBrush(tool.name)) {
      this.editor.begin();
      this.last = place;
      this.#dab(tool, place);
    } else if (tool.name === "polygon") {
      this.corners.push(place);
      this.actions.told();
    } else this.#wholeLesion(tool.name, bit, Math.floor(place.x), Math.floor(place.y));
  }

  drag(tool, place) {
    if (this.last === null) return;
    this.#dab(tool, place);
    this.last = place;
  }

  up() {
    if (this.last === null) return;
    this.last = null;
    if (this.editor.end()) this.#changed();
  }

  /** Closes the polygon that is being drawn. */
  closePolygon() {
    const corners = this.corners;
    this.corners = [];
    if (corners.length >= 3) this.#step(() => this.editor.polygon("draw", 1 << this.actions.chosen(), corners));
    this.actions.told();
  }

  dropPolygon() {
    this.corners = [];
    this.actions.told();
  }

  setComplete(bit, isComplete) {
    this.editor.setComplete(bit, isComplete);
    this.#changed();
  }

  undo() {
    if (this.editor.undo()) this.#changed(true);
  }

  redo() {
    if (this.editor.redo()) this.#changed(true);
  }

  #dab({name, radius, isForAll}, place) {
    const all = (1 << this.classNames.length) - 1;
    const bits = name === "ignore" && isForAll ? all : 1 << this.actions.chosen();
    const verb = {brush: "draw", eraser: "erase", ignore: "ignore"}[name];
    this.actions.paint(this.editor.stroke(verb, bits, this.last, place, radius));
  }

  #wholeLesion(name, bit, x, y) {
    if (name === "reject") this.#step(() => this.editor.reject(bit, x, y));
    else {
      const level = Math.max(this.detections.level(bit, x, y) / 2, LEAST_LEVEL);
      this.#step(() => this.editor.accept(bit, x, y, (px, py) => this.detections.level(bit, px, py) >= level, MOST_ACCEPTED));
    }
  }

  #step(change) {
    this.editor.begin();
    const box = change();
    if (!this.editor.end()) return;
    this.actions.paint(box);
    this.#changed();
  }

  #changed(everywhere = false) {
    if (everywhere) this.actions.paint(null);
    this.actions.told();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), PAUSE);
  }

  /** Saves what has changed, after any save that is under way. */
  save() {
    clearTimeout(this.timer);
    this.saving = this.saving.then(() => this.#save());
    return this.saving;
  }

  async #save() {
    if (this.isSaved) return;
    const edits = this.editor.edits;
    const told = {
      revision: this.revision, by: this.actions.by(), complete: [...this.editor.complete].map((bit) => this.classNames[bit]),
      ...this.startedFrom,
    };
    try {
      const saved = await save(this.photograph.number, this.editor.bytes(), told);
      this.revision = saved.revision;
      this.savedBy = saved.by;
      this.savedAt = saved.saved;
      this.savedEdits = edits;
      this.problem = "";
    } catch (error) {
      this.problem = error instanceof Refused && error.status !== 409 ? error.message : "not saved";
      if (error instanceof Refused && error.status === 409) this.actions.conflict(JSON.parse(error.message));
    }
    this.actions.told();
  }

  /** Goes on from what somebody else has saved, so that the next save takes its place. */
  overwrite(theirs) {
    this.revision = theirs.revision;
    return this.save();
  }
}
