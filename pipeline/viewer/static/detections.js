// What the model detects in the photograph that is shown, at the thresholds of the sliders, and how it is drawn.

import {heatCanvas} from "./painting.js";
import {findRegions, levelAt, outline} from "./regions.js";

const PROBABLE = "#d9ff3d", DOUBTFUL = "#d08bff"; // colours that a fundus does not have

export class Detections {
  /** facts: of the photograph; probabilities, spreads: maps of the classes, see `server.maps`. */
  constructor(facts, {probabilities, spreads}, colors) {
    Object.assign(this, {facts, probabilities, spreads, colors});
    [this.height, this.width] = facts.size;
    [this.scaleY, this.scaleX] = facts.map_size.map((length, axis) => length / facts.size[axis]);
    this.found = probabilities.map(() => null);
    this.heats = new Map();
  }

  /** Finds the detections of a class anew. */
  find(bit, threshold, leastArea) {
    const map = this.probabilities[bit], level = threshold * 255;
    const {labels, regions} = findRegions(map, level, this.facts.size, leastArea);
    const path = new Path2D();
    outline(path, map, labels, level);
    this.found[bit] = {regions, labels, path, level, fill: null};
    this.heats.delete("doubt");
  }

  /** Centre of the field of view in pixels of the map, whose first pixel is around (0, 0); null without one. */
  get center() {
    if (this.facts.center === null) return null;
    return [(this.facts.center[0] + 0.5) * this.scaleX - 0.5, (this.facts.center[1] + 0.5) * this.scaleY - 0.5];
  }

  /** Probability of each class at a place of the photograph. */
  at(x, y) {
    return this.probabilities.map((map) => levelAt(map, x, y, this.scaleX, this.scaleY) / 255);
  }

  /** Level of a class in the middle of a pixel of the photograph. */
  level(bit, x, y) {
    return levelAt(this.probabilities[bit], x + 0.5, y + 0.5, this.scaleX, this.scaleY);
  }

  /** Draws into a context whose unit is a pixel of the screen. look: {visible: [bool], opacity, isFilled}. */
  draw(context, {view}, look) {
    context.save();
    context.translate(-view.x * view.zoom, -view.y * view.zoom);
    context.scale(view.zoom / this.scaleX, view.zoom / this.scaleY);
    context.lineWidth = 2 * this.scaleX / view.zoom;
    context.lineJoin = "round";
    this.found.forEach((found, bit) => {
      if (found === null || !look.visible[bit]) return;
      if (look.isFilled) {
        found.fill ??= heatCanvas(this.probabilities[bit], this.colors[bit], (place) => found.labels[place] ? 255 : 0);
        context.globalAlpha = look.opacity * 0.35;
        context.drawImage(found.fill, 0, 0);
      }
      context.globalAlpha = look.opacity;
      context.strokeStyle = this.colors[bit];
      context.stroke(found.path);
    });
    context.restore();
  }

  /** Draws a layer, "probability", "doubt" or "spread", over the photograph. */
  drawLayer(context, {view}, layer, bit, opacity) {
    const canvas = this.#heat(layer, bit);
    if (canvas === null) return;
    context.save();
    context.globalAlpha = opacity;
    context.translate(-view.x * view.zoom, -view.y * view.zoom);
    context.drawImage(canvas, 0, 0, this.width * view.zoom, this.height * view.zoom);
    context.restore();
  }

  #heat(layer, bit) {
    const key = layer === "doubt" ? layer : `${layer} ${bit}`;
    if (!this.heats.has(key)) this.heats.set(key, this.#makeHeat(layer, bit));
    return this.heats.get(key);
  }

  #makeHeat(layer, bit) {
    const map = this.probabilities[bit];
    if (layer === "probability") return heatCanvas(map, PROBABLE, (place) => map.levels[place]);
    if (layer === "spread") return this.spreads && heatCanvas(map, DOUBTFUL, (place) => this.spreads[bit].levels[place]);
    // By the square root, as most of what may be wrong has a low probability, which would be hardly seen.
    return heatCanvas(map, DOUBTFUL, (place) => Math.min(255 * Math.sqrt(2 * this.#doubt(place) / 255), 255));
  }

  /** The probability, 0 to 255, that the most doubtful class is wrong at a pixel of the map. */
  #doubt(place) {
    let most = 0;
    this.probabilities.forEach(({levels}, bit) => {
      const isDetected = this.found[bit]?.labels[place] > 0;
      most = Math.max(most, isDetected ? 255 - levels[place] : levels[place]);
    });
    return most;
  }
}
