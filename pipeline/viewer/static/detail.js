// A photograph that is shown shrunk, as it is large: its tiles at full resolution, loaded where a person zooms in.

const MOST_KEPT = 48; // tiles, of four megabytes each

export class Detail {
  /** side: of a tile, pixels; load(row, column): asks for the picture of a tile; loaded(): there is another one to draw. */
  constructor(width, height, side, load, loaded) {
    Object.assign(this, {width, height, side, load, loaded});
    this.tiles = new Map(); // by place, those that were drawn last at the end; null while it is loaded
  }

  /** Draws the tiles of what is in view, {x, y, zoom} of a pane {width, height}, whose unit is a pixel of the screen. */
  draw(context, {x, y, zoom}, pane) {
    const last = (length, end) => Math.min(Math.floor(end / this.side), Math.ceil(length / this.side) - 1);
    for (let row = Math.max(Math.floor(y / this.side), 0); row <= last(this.height, y + pane.height / zoom); row++) {
      for (let column = Math.max(Math.floor(x / this.side), 0); column <= last(this.width, x + pane.width / zoom); column++) {
        const bitmap = this.#tile(row, column);
        if (bitmap === null) continue;
        const [left, top] = [(column * this.side - x) * zoom, (row * this.side - y) * zoom];
        context.drawImage(bitmap, left, top, bitmap.width * zoom, bitmap.height * zoom);
      }
    }
  }

  #tile(row, column) {
    const place = `${row} ${column}`, there = this.tiles.get(place) ?? null;
    const isAsked = this.tiles.delete(place);
    this.tiles.set(place, there);
    if (!isAsked) this.#ask(place, row, column);
    return there;
  }

  async #ask(place, row, column) {
    for (const oldest of this.tiles.keys()) {
      if (this.tiles.size <= MOST_KEPT) break;
      this.tiles.get(oldest)?.close();
      this.tiles.delete(oldest);
    }
    try {
      const bitmap = await this.load(row, column);
      if (!this.tiles.has(place)) return;
      this.tiles.set(place, bitmap);
      this.loaded();
    } catch {
      this.tiles.delete(place); // asked for again when it is drawn again
    }
  }
}
