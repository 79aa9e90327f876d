// Training on: begins and stops trainings on corrected photographs, and shows how far they are and what they brought.

import * as server from "./server.js";
import {row} from "./tables.js";

const NAMES = {
  loss: "Loss", val_loss: "Loss of tiles held out", val_photo_aupr: "AUPR of photographs held out",
  val_photo_dice: "Dice of photographs held out",
};
const STAGES = {
  shard: "cutting tiles", train: "training", eval: "scoring", compare: "comparing",
};
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 260, HEIGHT = 56; // of a curve

export class Training {
  /** element: the section; actions: {use(which), exchanges the model of the page; failed(message)}. */
  constructor(element, actions) {
    Object.assign(this, {element, actions});
    this.known = "";
    const act = (name, action) => this.#find(name).addEventListener("click", () => this.#ask(action));
    act("begin", () => server.train({minutes: this.#find("minutes").valueAsNumber}));
    act("continue", () => server.train({continue: true}));
    act("stop", () => server.stopTraining());
    act("use-new", () => actions.use("new"));
    act("use-first", () => actions.use("first"));
  }

  /** Takes over how far a training is; asks for all of it if that, or what is corrected, has changed. */
  async take(brief, isCorrectedAnew) {
    this.#tellTime(brief);
    const {minutes_left, ...lasting} = brief, known = JSON.stringify(lasting);
    if (known === this.known && !isCorrectedAnew) return;
    this.#show(await server.training());
    this.known = known;
  }

  async #ask(action) {
    try {
      await action();
      this.#show(await server.training());
    } catch (error) {
      this.actions.failed(error.message);
    }
  }

  #find(name) {
    return this.element.querySelector(`#train-${name}`);
  }

  #tellTime({state, stage, stages, minutes, minutes_left: left}) {
    const now = this.#find("now");
    const text = wordsOf(state, stage, stages, left);
    if (now.textContent !== text) now.textContent = text;
    const isRunning = state === "running" || state === "stopping";
    this.#find("progress").hidden = !isRunning;
    if (isRunning) this.#find("progress").value = left === null ? 1 : 1 - left / minutes;
  }

  #show(all) {
    const isRunning = all.state === "running" || all.state === "stopping";
    this.#find("about").textContent = isRunning ? "" : all.why_not || aboutStart(all.usable);
    this.#find("start").hidden = isRunning || all.why_not !== "";
    this.#find("state").hidden = all.state === "idle";
    this.#find("stop").hidden = !isRunning;
    this.#find("stop").disabled = all.state === "stopping";
    this.#find("continue").hidden = all.state !== "stopped" && all.state !== "failed";
    this.#find("use-new").hidden = all.state !== "done" || all.uses_new;
    this.#find("use-first").hidden = all.state !== "done" || !all.uses_new;
    if (all.state === "idle") return;
    this.#find("message").textContent = all.message;
    this.#find("chosen").textContent = all.chosen === null ? "" : aboutChosen(all.chosen);
    this.#find("curves").replaceChildren(...Object.entries(all.curves).map(([name, values]) => curve(NAMES[name], values)));
    this.#find("scores").hidden = all.scores === null;
    if (all.scores !== null) this.#showScores(all);
    this.#find("commands").textContent = [
      ...(all.model === null ? [] : [`# new model: ${all.model}`, `# report: ${all.report}`]), ...all.commands,
    ].join("\n");
    this.#find("details").hidden = all.commands.length === 0;
  }

  #showScores({scores, seen, chosen}) {
    const rows = Object.entries(scores).map(([name, {aupr, dice}]) => row("td", [name, ...aupr.map(digits), ...dice.map(digits)]));
    this.#find("scores").querySelector("tbody").replaceChildren(...rows);
    const were = seen.length === 1 ? "was" : "were";
    this.#find("notes").textContent = [
      `Scores of ${count(chosen.apart)} kept apart, from which nothing was learnt here.`,
      chosen.apart < 10 ? "They are few, so these scores say little." : "",
      seen.length > 0 ? `${seen.join(", ")} ${were} learnt from in earlier trainings of the model, so both models' scores flatter.` : "",
    ].filter(Boolean).join(" ");
  }
}

function wordsOf(state, stage, stages, left) {
  if (state === "idle") return "";
  if (state === "stopped") return "Stopped; everything is saved.";
  if (state === "failed") return "Failed.";
  if (state === "done") return "Done.";
  const doing = stage < 0 ? "reading corrected photographs" : STAGES[stages[stage]];
  const place = stage < 0 ? "" : `Step ${stage + 1} of ${stages.length}: `;
  const minutes = left === null ? "" : left < 1 ? "less than a minute of training left" : `about ${Math.ceil(left)} minutes of training left`;
  return `${place}${doing}${minutes && `, ${minutes}`}${state === "stopping" ? "; stopping, its work is being saved…" : "…"}`;
}

const count = (number) => `${number} photograph${number === 1 ? "" : "s"}`;
const digits = (score) => score === null ? "–" : score.toFixed(3);

function aboutStart(usable) {
  return `Trains the model on the ${usable} corrected photographs, some of which are kept apart to compare the new model with the old one.`;
}

function aboutChosen({train, validation, apart}) {
  return `It learns from ${count(train)}; ${validation} choose${validation === 1 ? "s" : ""} the best epoch and the thresholds, and ${apart} ${apart === 1 ? "is" : "are"} kept apart.`;
}

/** Returns a figure of values over the epochs, some of which may be null. */
function curve(name, values) {
  const there = values.map((value, epoch) => ({value, epoch})).filter(({value}) => value !== null);
  const all = there.map(({value}) => value), lowest = Math.min(...all), highest = Math.max(...all);
  const x = (epoch) => values.length === 1 ? WIDTH / 2 : 4 + (WIDTH - 8) * epoch / (values.length - 1);
  const y = (value) => highest === lowest ? HEIGHT / 2 : HEIGHT - 4 - (HEIGHT - 8) * (value - lowest) / (highest - lowest);
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  const first = all[0].toFixed(3), last = all.at(-1).toFixed(3);
  caption.textContent = `${name}: ${first === last ? last : `${first} → ${last}`}`;
  const drawing = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
  drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `${caption.textContent}, over ${values.length} epochs`);
  line.setAttribute("points", there.map(({value, epoch}) => `${x(epoch).toFixed(1)},${y(value).toFixed(1)}`).join(" "));
  const end = document.createElementNS(SVG, "circle");
  for (const [key, value] of Object.entries({cx: x(there.at(-1).epoch), cy: y(there.at(-1).value), r: 3})) end.setAttribute(key, value);
  drawing.append(line, end);
  figure.append(caption, drawing);
  return figure;
}
