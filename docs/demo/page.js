// Reads the photograph, has it segmented by the worker, and draws what was found.
const COLORS = [[255, 0, 220], [50, 80, 255], [255, 240, 0], [0, 230, 255], [90, 255, 120], [255, 255, 255]];
const byId = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const facts = fetch("metadata.json").then((answer) => answer.json());
let photograph = null; // ImageData
let found = null; // what the worker answered
const shown = new Set();

byId("file").addEventListener("change", (event) => segment(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") segment(event.dataTransfer.files[0]);
  });
}
worker.addEventListener("message", async ({ data }) => {
  byId("file").disabled = false;
  if (data.error) return say(data.error);
  found = data;
  const { classes } = await facts;
  const counts = classes.map((_, index) => data.lesions.filter((lesion) => lesion[0] === index).length);
  byId("legend").replaceChildren(...classes.map((name, index) => legendItem(name, index, counts[index])));
  draw();
  say(`${photograph.width}x${photograph.height} pixels: ${data.lesions.length} regions in ${data.seconds.toFixed(1)} s on ${data.device}`);
});

async function segment(file) {
  if (!file || byId("file").disabled) return;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // turned by its orientation tag, and in sRGB
  } catch {
    return say(`${file.name}: the browser cannot read this file; choose a JPEG or PNG.`);
  }
  const canvas = byId("picture");
  [canvas.width, canvas.height, canvas.hidden] = [bitmap.width, bitmap.height, false];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  photograph = context.getImageData(0, 0, bitmap.width, bitmap.height);
  byId("legend").replaceChildren();
  byId("file").disabled = true;
  say("Looking for lesions …");
  worker.postMessage({ pixels: photograph.data, width: bitmap.width, height: bitmap.height });
}

function legendItem(name, index, count) {
  const item = document.createElement("li");
  const label = item.appendChild(document.createElement("label"));
  const box = label.appendChild(Object.assign(document.createElement("input"), { type: "checkbox", checked: true }));
  const swatch = label.appendChild(Object.assign(document.createElement("span"), { className: "swatch" }));
  swatch.style.background = `rgb(${COLORS[index % COLORS.length]})`;
  label.append(`${name}: ${count}`);
  shown.add(index);
  box.addEventListener("change", () => {
    if (box.checked) shown.add(index);
    else shown.delete(index);
    draw();
  });
  return item;
}

// Mixes the colour of the first shown class of each pixel into the photograph.
function draw() {
  const { masks, classes } = found;
  const drawn = new ImageData(new Uint8ClampedArray(photograph.data), photograph.width, photograph.height);
  for (let pixel = 0, place = 0; place < masks.length; pixel += 4) {
    for (let index = 0, first = true; index < classes; index++, place++) {
      if (!masks[place] || !first || !shown.has(index)) continue;
      first = false;
      for (let channel = 0; channel < 3; channel++) {
        drawn.data[pixel + channel] = 0.4 * drawn.data[pixel + channel] + 0.6 * COLORS[index % COLORS.length][channel];
      }
    }
  }
  byId("picture").getContext("2d").putImageData(drawn, 0, 0);
}

function say(text) {
  byId("status").textContent = text;
}
