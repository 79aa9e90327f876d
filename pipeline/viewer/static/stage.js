// The photograph on its canvases: where it lies, and how mouse, fingers and keys move it. Places are in pixels of the
// photograph, whose first pixel reaches from 0 to 1; x and y of the view are those of the pane's upper left corner.

const MOST_ZOOM = 40;
const WHEEL = 1.0015; // by which a step of the wheel zooms

export class Stage {
  /**
   * panes: the elements that show the photograph, the main one first; actions: {
   *   over(context, stage), draws outlines in pixels of the screen; mask(context, stage, box), paints labels, box null: all;
   *   point(place or null), a pointer was moved; isDrawing(), whether a drag draws; down, drag, up(place): a drag draws;
   *   double(place), a double click}
   */
  constructor(panes, actions) {
    this.panes = panes;
    this.main = panes[0];
    this.actions = actions;
    this.view = {x: 0, y: 0, zoom: 1};
    this.photograph = null;
    this.pointers = new Map();
    this.stale = new Set();
    this.isFitted = true;
    this.canvases = Object.fromEntries(["photo", "mask", "over"].map((name) => [name, this.main.querySelector(`.${name}`)]));
    new ResizeObserver(() => this.#resize()).observe(this.main);
    for (const pane of panes) this.#listen(pane);
  }

  /** photograph: {bitmap or null, width, height, detail: a Detail if the bitmap is shrunk, else null}. */
  show(photograph) {
    const isOther = this.photograph === null || this.photograph.number !== photograph.number;
    this.photograph = photograph;
    if (isOther) this.fit();
    this.redraw();
  }

  /** Shows nothing, until the next photograph is there. */
  clear() {
    this.photograph = null;
    for (const canvas of this.panes.flatMap((pane) => [...pane.querySelectorAll("canvas")])) canvas.getContext("2d").reset();
  }

  get size() {
    return {width: this.main.clientWidth, height: this.main.clientHeight};
  }

  fit() {
    if (this.photograph === null) return;
    const {width, height} = this.size;
    const zoom = Math.min(width / this.photograph.width, height / this.photograph.height);
    this.view = {
      zoom, x: (this.photograph.width - width / zoom) / 2, y: (this.photograph.height - height / zoom) / 2,
    };
    this.redraw();
    this.isFitted = true;
  }

  /** Zooms to a factor, so that a place of the pane stays where it is; its middle, if none is given. */
  zoomTo(zoom, x = this.size.width / 2, y = this.size.height / 2) {
    const least = Math.min(this.size.width / this.photograph?.width, this.size.height / this.photograph?.height) / 2;
    const place = this.placeAt(x, y);
    this.view.zoom = Math.min(Math.max(zoom, least), MOST_ZOOM);
    this.view.x = place.x - x / this.view.zoom;
    this.view.y = place.y - y / this.view.zoom;
    this.isFitted = false;
    this.redraw();
  }

  /** Moves the photograph by pixels of the screen. */
  moveBy(dx, dy) {
    this.view.x -= dx / this.view.zoom;
    this.view.y -= dy / this.view.zoom;
    this.isFitted = false;
    this.redraw();
  }

  placeAt(x, y) {
    return {x: this.view.x + x / this.view.zoom, y: this.view.y + y / this.view.zoom};
  }

  /** Draws everything anew before the next frame. */
  redraw() {
    this.#plan("photo");
    this.#plan("over");
    this.#plan("mask", null);
  }

  redrawPhoto() {
    this.#plan("photo");
  }

  redrawOver() {
    this.#plan("over");
  }

  /** Paints labels anew, within a box of the photograph or everywhere. */
  redrawMask(box = null) {
    this.#plan("mask", box);
  }

  #plan(name, box = null) {
    if (this.stale.size === 0) requestAnimationFrame(() => this.#draw());
    if (name === "mask") this.maskBox = this.stale.has("mask") ? united(this.maskBox, box) : box;
    this.stale.add(name);
  }

  #draw() {
    const stale = new Set(this.stale);
    this.stale.clear();
    if (this.photograph === null) return;
    if (stale.has("photo")) for (const pane of this.panes) if (!pane.hidden) this.#drawPhoto(pane.querySelector(".photo"));
    if (stale.has("mask")) this.actions.mask(this.canvases.mask.getContext("2d"), this, this.maskBox);
    if (stale.has("over")) {
      const context = this.canvases.over.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, this.canvases.over.width, this.canvases.over.height);
      context.scale(devicePixelRatio, devicePixelRatio);
      this.actions.over(context, this);
    }
  }

  #drawPhoto(canvas) {
    const context = canvas.getContext("2d", {alpha: false});
    const {bitmap, width, height, detail} = this.photograph, {x, y, zoom} = this.view;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#0b0d0f";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (bitmap === null) return;
    context.scale(devicePixelRatio, devicePixelRatio);
    context.imageSmoothingEnabled = zoom < 4; // from there on a person wants to see pixels
    context.imageSmoothingQuality = "medium";
    context.drawImage(bitmap, -x * zoom, -y * zoom, width * zoom, height * zoom);
    if (zoom * devicePixelRatio > bitmap.width / width) detail?.draw(context, this.view, this.size);
  }

  #resize() {
    const ratio = devicePixelRatio, {width, height} = this.size;
    for (const canvas of this.panes.flatMap((pane) => [...pane.querySelectorAll("canvas")])) {
      const scale = canvas === this.canvases.mask ? 1 : ratio; // labels are painted pixel by pixel
      canvas.width = Math.max(Math.round(width * scale), 1);
      canvas.height = Math.max(Math.round(height * scale), 1);
    }
    if (this.isFitted) this.fit();
    else this.redraw();
  }

  #listen(pane) {
    const at = (event) => {
      const box = pane.getBoundingClientRect();
      return {x: event.clientX - box.left, y: event.clientY - box.top};
    };
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      const {x, y} = at(event);
      this.zoomTo(this.view.zoom * WHEEL ** -event.deltaY, x, y);
    }, {passive: false});
    pane.addEventListener("pointerdown", (event) => this.#down(pane, event, at(event)));
    pane.addEventListener("pointermove", (event) => this.#move(pane, event, at(event)));
    for (const name of ["pointerup", "pointercancel"]) pane.addEventListener(name, (event) => this.#up(pane, event, at(event)));
    pane.addEventListener("pointerleave", () => this.actions.point(null));
    pane.addEventListener("contextmenu", (event) => event.preventDefault());
    pane.addEventListener("dblclick", (event) => this.actions.double(this.placeAt(at(event).x, at(event).y)));
  }

  #down(pane, event, point) {
    if (this.photograph === null) return;
    pane.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, point);
    const draws = pane === this.main && event.button === 0 && this.pointers.size === 1 && this.actions.isDrawing();
    if (this.pointers.size > 1 && this.drawing) { // a second finger moves and zooms
      this.actions.up(this.placeAt(point.x, point.y));
      this.drawing = false;
    }
    if (draws) {
      this.drawing = true;
      this.actions.down(this.placeAt(point.x, point.y));
    } else pane.classList.add("dragging");
  }

  #move(pane, event, point) {
    if (this.photograph === null) return;
    const before = this.pointers.get(event.pointerId);
    this.actions.point(this.placeAt(point.x, point.y));
    if (before === undefined) return;
    if (this.drawing) {
      for (const one of event.getCoalescedEvents?.() ?? [event]) {
        const box = pane.getBoundingClientRect();
        this.actions.drag(this.placeAt(one.clientX - box.left, one.clientY - box.top));
      }
    } else if (this.pointers.size === 1) this.moveBy(point.x - before.x, point.y - before.y);
    else this.#pinch(event.pointerId, before, point);
    this.pointers.set(event.pointerId, point);
  }

  #pinch(id, before, after) {
    const [, other] = [...this.pointers].find(([one]) => one !== id);
    const distance = (one) => Math.max(Math.hypot(one.x - other.x, one.y - other.y), 1);
    const middle = (one) => ({x: (one.x + other.x) / 2, y: (one.y + other.y) / 2});
    this.zoomTo(this.view.zoom * distance(after) / distance(before), middle(before).x, middle(before).y);
    this.moveBy(middle(after).x - middle(before).x, middle(after).y - middle(before).y);
  }

  #up(pane, event, point) {
    this.pointers.delete(event.pointerId);
    if (this.pointers.size === 0) pane.classList.remove("dragging");
    if (this.drawing) {
      this.drawing = false;
      this.actions.up(this.placeAt(point.x, point.y));
    }
  }
}

function united(one, other) {
  if (one === null || other === null) return null;
  return {
    left: Math.min(one.left, other.left), top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom),
  };
}
