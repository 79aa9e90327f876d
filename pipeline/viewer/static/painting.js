// Paints labels as they are on the screen: as many pixels as the pane has, whatever the photograph has.

const LINE = 2; // pixels of the screen
const STRIPE = 8; // from one stripe of what is ignored to the next

/** Returns a colour "#rrggbb" and an opacity of 0 to 1 as a pixel of a canvas. */
function pixelOf(color, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return (Math.round(alpha * 255) << 24 | blue << 16 | green << 8 | red) >>> 0; // little-endian, as browsers are
}

/**
 * Paints labels within a box of the photograph, or everywhere if it is null.
 *
 * look: {visible: bits of the classes to show, colors, opacity, isFilled}.
 */
export function paintLabels(context, {view, size}, editor, look, box) {
  const area = screenBox(view, size, box);
  if (area.width <= 0 || area.height <= 0) return;
  const {values, ignored} = sampled(view, editor, look.visible, area);
  const stride = area.width + LINE;
  const image = context.createImageData(area.width, area.height);
  const pixels = new Uint32Array(image.data.buffer);
  const strong = new Uint32Array(256), weak = new Uint32Array(256);
  for (let bits = 1; bits < 256; bits++) {
    const color = look.colors[Math.min(31 - Math.clz32(bits & -bits), look.colors.length - 1)];
    strong[bits] = pixelOf(color, look.opacity);
    weak[bits] = look.isFilled ? pixelOf(color, look.opacity * 0.35) : 0;
  }
  for (let y = 0; y < area.height; y++) {
    for (let x = 0; x < area.width; x++) {
      const place = (y + LINE) * stride + x + LINE;
      const here = values[place], left = values[place - LINE], above = values[place - LINE * stride];
      let pixel = here === left && here === above ? weak[here] : strong[here || left || above];
      if (ignored[place] !== 0 && (x + area.left + y + area.top) % STRIPE < LINE) pixel = strong[ignored[place]];
      pixels[y * area.width + x] = pixel;
    }
  }
  context.putImageData(image, area.left, area.top);
}

/** Returns the part of the pane that shows a box of the photograph, in pixels of the screen. */
function screenBox(view, size, box) {
  if (box === null) return {left: 0, top: 0, width: size.width, height: size.height};
  const left = Math.max(Math.floor((box.left - view.x) * view.zoom) - LINE, 0);
  const top = Math.max(Math.floor((box.top - view.y) * view.zoom) - LINE, 0);
  const right = Math.min(Math.ceil((box.right - view.x) * view.zoom) + 2 * LINE, size.width);
  const bottom = Math.min(Math.ceil((box.bottom - view.y) * view.zoom) + 2 * LINE, size.height);
  return {left, top, width: right - left, height: bottom - top};
}

/** Returns the bits under the middle of each pixel of the screen, with LINE more to the left and above. */
function sampled(view, editor, visible, area) {
  const stride = area.width + LINE, rows = area.height + LINE;
  const values = new Uint8Array(stride * rows), ignored = new Uint8Array(stride * rows);
  const columns = new Int32Array(stride);
  for (let x = 0; x < stride; x++) {
    const column = Math.floor(view.x + (area.left + x - LINE + 0.5) / view.zoom);
    columns[x] = column >= 0 && column < editor.width ? column : -1;
  }
  for (let y = 0; y < rows; y++) {
    const row = Math.floor(view.y + (area.top + y - LINE + 0.5) / view.zoom);
    if (row < 0 || row >= editor.height) continue;
    for (let x = 0; x < stride; x++) {
      if (columns[x] < 0) continue;
      const place = row * editor.width + columns[x];
      values[y * stride + x] = editor.lesion[place] & visible;
      ignored[y * stride + x] = editor.ignored[place] & visible;
    }
  }
  return {values, ignored};
}

/** Returns a canvas of a map's size, in which a function of the place gives the opacity, 0 to 255, of one colour. */
export function heatCanvas({height, width}, color, opacityAt) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const base = pixelOf(color, 0);
  for (let place = 0; place < pixels.length; place++) pixels[place] = (base | opacityAt(place) << 24) >>> 0;
  context.putImageData(image, 0, 0);
  return canvas;
}
