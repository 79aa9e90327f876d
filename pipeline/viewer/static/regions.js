// Detections in a class's map at the network's scale: connected regions, their areas and places, and their outlines.
//
// The graph enlarges maps bilinearly before it compares them with the threshold. So two pixels that touch at a corner
// only belong together if the bilinear surface between them stays at the threshold or above, and outlines run where
// that surface crosses it.

const MOST_COUNTED = 12; // pixels of the map of a region whose area is counted; of larger ones it is estimated

/** Whether the diagonal a–d of a cell with corners a b / c d is joined at a level; b and c are below it. */
function isJoined(a, b, c, d, level) {
  return (a * d - b * c) / (a + d - b - c) >= level;
}

/**
 * Finds the detections of a class.
 *
 * map: {levels: Uint8Array of h·w, height, width}; level: least level, 0 to 255; size: [H, W] of the photograph;
 * leastArea: pixels of the photograph.
 * Returns {labels: Int32Array of h·w, 0 outside detections, regions: [{area, x, y, highest}]}, places in the map.
 */
export function findRegions(map, level, size, leastArea) {
  const {levels, height, width} = map;
  const labels = new Int32Array(height * width);
  const stack = [];
  const regions = [];
  for (let start = 0; start < levels.length; start++) {
    if (levels[start] < level || labels[start] !== 0) continue;
    const label = regions.length + 1;
    const members = [];
    let sumX = 0, sumY = 0, highest = 0;
    labels[start] = label;
    stack.push(start);
    while (stack.length > 0) {
      const place = stack.pop();
      const x = place % width, y = (place - x) / width;
      members.push(place);
      sumX += x;
      sumY += y;
      highest = Math.max(highest, levels[place]);
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const nx = x + dx, ny = y + dy;
          if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
          const other = ny * width + nx;
          if (levels[other] < level || labels[other] !== 0) continue;
          const isCorner = dx !== 0 && dy !== 0;
          const beside = y * width + nx, above = ny * width + x;
          if (isCorner && levels[beside] < level && levels[above] < level
            && !isJoined(levels[place], levels[beside], levels[above], levels[other], level)) continue;
          labels[other] = label;
          stack.push(other);
        }
      }
    }
    const area = members.length <= MOST_COUNTED ? countedArea(map, members, level, size) : estimatedArea(map, members, level, size);
    regions.push({area, x: sumX / members.length, y: sumY / members.length, highest, members});
  }
  return withoutSmall(labels, regions, leastArea);
}

/**
 * Counts the pixels of the photograph where the bilinear surface around some pixels of the map is at the level or above;
 * there may be none, as the surface can have its peak between them.
 */
function countedArea(map, members, level, [fullHeight, fullWidth]) {
  const scaleX = map.width / fullWidth, scaleY = map.height / fullHeight;
  const xs = members.map((place) => place % map.width), ys = members.map((place) => Math.floor(place / map.width));
  const left = Math.max(Math.floor((Math.min(...xs) - 0.5) / scaleX), 0), right = Math.min(Math.ceil((Math.max(...xs) + 1.5) / scaleX), fullWidth);
  const top = Math.max(Math.floor((Math.min(...ys) - 0.5) / scaleY), 0), bottom = Math.min(Math.ceil((Math.max(...ys) + 1.5) / scaleY), fullHeight);
  const own = new Set(members);
  let area = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const nearest = Math.floor((y + 0.5) * scaleY) * map.width + Math.floor((x + 0.5) * scaleX);
      const isOwn = own.has(nearest) || map.levels[nearest] < level;
      if (isOwn && levelAt(map, x + 0.5, y + 0.5, scaleX, scaleY) >= level) area++;
    }
  }
  return area;
}

/** Estimates the same area for many pixels of the map. */
function estimatedArea(map, members, level, [fullHeight, fullWidth]) {
  const {levels, height, width} = map;
  let area = 0;
  for (const place of members) {
    const x = place % width, y = (place - x) / width, here = levels[place] - level;
    const reach = (other) => levels[other] >= level ? 0.5 : here / (levels[place] - levels[other]);
    const left = x > 0 ? reach(place - 1) : 0.5, right = x < width - 1 ? reach(place + 1) : 0.5;
    const above = y > 0 ? reach(place - width) : 0.5, below = y < height - 1 ? reach(place + width) : 0.5;
    area += (left + right) * (above + below);
  }
  return area * (fullHeight / height) * (fullWidth / width);
}

function withoutSmall(labels, regions, leastArea) {
  const kept = [];
  for (const region of regions) {
    const isKept = region.area >= leastArea;
    if (isKept) kept.push(region);
    const label = isKept ? kept.length : 0;
    for (const place of region.members) labels[place] = label;
    delete region.members;
  }
  return {labels, regions: kept};
}

/**
 * Draws the outlines of detections into a Path2D-like object, in pixels of the map: the middle of pixel 0 is at 0.5.
 *
 * Only cells with a pixel of a kept region are outlined, so that dropped regions vanish.
 */
export function outline(path, map, labels, level) {
  const {levels, height, width} = map;
  const at = (x, y) => x < 0 || y < 0 || x >= width || y >= height ? 0 : levels[y * width + x];
  const isKept = (x, y) => x >= 0 && y >= 0 && x < width && y < height && labels[y * width + x] !== 0;
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const inside = x >= 0 && y >= 0;
      // Most cells are far from any detection: the quick look at two of the four corners skips them.
      if (inside && x < width - 1 && y < height - 1) {
        const place = y * width + x;
        if (labels[place] === 0 && labels[place + 1] === 0 && labels[place + width] === 0
          && labels[place + width + 1] === 0) continue;
      } else if (!isKept(x, y) && !isKept(x + 1, y) && !isKept(x, y + 1) && !isKept(x + 1, y + 1)) continue;
      const a = isKept(x, y) ? at(x, y) : Math.min(at(x, y), level - 1);
      const b = isKept(x + 1, y) ? at(x + 1, y) : Math.min(at(x + 1, y), level - 1);
      const c = isKept(x, y + 1) ? at(x, y + 1) : Math.min(at(x, y + 1), level - 1);
      const d = isKept(x + 1, y + 1) ? at(x + 1, y + 1) : Math.min(at(x + 1, y + 1), level - 1);
      outlineCell(path, x + 0.5, y + 0.5, a, b, c, d, level);
    }
  }
}

/** Marching squares in one cell with corners a b / c d, the first of which is at (x, y). */
function outlineCell(path, x, y, a, b, c, d, level) {
  const kind = (a >= level) | ((b >= level) << 1) | ((c >= level) << 2) | ((d >= level) << 3);
  if (kind === 0 || kind === 15) return;
  const edge = level;
  const top = () => [x + (edge - a) / (b - a), y];
  const bottom = () => [x + (edge - c) / (d - c), y + 1];
  const left = () => [x, y + (edge - a) / (c - a)];
  const right = () => [x + 1, y + (edge - b) / (d - b)];
  const line = (from, to) => {
    path.moveTo(from[0], from[1]);
    path.lineTo(to[0], to[1]);
  };
  switch (kind) {
    case 1: case 14: line(left(), top()); break;
    case 2: case 13: line(top(), right()); break;
    case 4: case 11: line(left(), bottom()); break;
    case 8: case 7: line(bottom(), right()); break;
    case 3: case 12: line(left(), right()); break;
    case 5: case 10: line(top(), bottom()); break;
    case 9: // a and d
      if (isJoined(a, b, c, d, level)) { line(left(), bottom()); line(top(), right()); }
      else { line(left(), top()); line(bottom(), right()); }
      break;
    default: // 6: b and c
      if (isJoined(b, a, d, c, level)) { line(left(), top()); line(bottom(), right()); }
      else { line(top(), right()); line(left(), bottom()); }
  }
}

/** Returns the level of a map at a place of the photograph as the graph enlarges it, with pixel centres at halves. */
export function levelAt(map, x, y, scaleX, scaleY) {
  const {levels, height, width} = map;
  const mapX = Math.min(Math.max(x * scaleX - 0.5, 0), width - 1);
  const mapY = Math.min(Math.max(y * scaleY - 0.5, 0), height - 1);
  const left = Math.floor(mapX), top = Math.floor(mapY);
  const right = Math.min(left + 1, width - 1), bottom = Math.min(top + 1, height - 1);
  const rightPart = mapX - left, lowerPart = mapY - top;
  const above = levels[top * width + left] * (1 - rightPart) + levels[top * width + right] * rightPart;
  const below = levels[bottom * width + left] * (1 - rightPart) + levels[bottom * width + right] * rightPart;
  return above * (1 - lowerPart) + below * lowerPart;
}

export const QUADRANTS = ["upper left", "upper right", "lower left", "lower right"];

/** Counts regions by quadrant around a centre, both in pixels of the map; null without a centre. */
export function countByQuadrant(regions, center) {
  if (center === null) return null;
  const counts = [0, 0, 0, 0];
  for (const region of regions) counts[(region.y < center[1] ? 0 : 2) + (region.x < center[0] ? 0 : 1)]++;
  return counts;
}
