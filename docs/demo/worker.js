// Finds lesions beside the page, which stays responsive: on the GPU if that gives what the CPU gives, else on the CPU.
import * as ort from "./ort.wasm.min.mjs";

const TOLERANCE = 0.01; // of a probability: devices round differently
let started = null; // a promise of { run, device }

self.addEventListener("message", async ({ data }) => {
  try {
    started ??= start();
    const { run, device } = await started;
    const began = performance.now();
    const photograph = new ort.Tensor("uint8", rgb(data.pixels), [data.height, data.width, 3]);
    // The map itself stays where it is: it is the largest of the results.
    const { masks, lesions } = await run(photograph, ["masks", "lesions"]);
    const seconds = (performance.now() - began) / 1000;
    const [count, columns] = lesions.dims;
    const rows = Array.from({ length: count }, (_, row) => [...lesions.data.subarray(row * columns, (row + 1) * columns)]);
    self.postMessage({ masks: masks.data, classes: masks.dims[2], lesions: rows, seconds, device });
  } catch (error) {
    started = null; // after memory ran out it cannot be used any more
    self.postMessage({ error: `The photograph could not be segmented: ${error.message ?? error}` });
  }
});

async function start() {
  const session = await open(ort, "segmenter.onnx");
  const cpu = { run: (photograph, names) => session.run({ photograph }, names), device: "the CPU (WebAssembly)" };
  const { classes, flips } = await (await fetch("metadata.json")).json();
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter || adapter.info?.isFallbackAdapter || flips !== 1) return cpu; // a fallback is the CPU, and slow
  try {
    const gpu = { run: await openParts(classes.length), device: "the GPU (WebGPU)" };
    const difference = await largestDifference(cpu.run, gpu.run);
    if (!(difference <= TOLERANCE)) throw new Error(`its probabilities differ by ${difference.toFixed(3)}`);
    await session.release();
    return gpu;
  } catch (error) {
    return { ...cpu, device: `${cpu.device}, as the GPU cannot be used: ${error.message ?? error}` };
  }
}

// The same graph in three parts, of which the GPU computes the network; returns what runs them.
async function openParts(classes) {
  const onGpu = await import("./ort.webgpu.min.mjs");
  const before = await open(ort, "tiles.onnx");
  const network = await open(onGpu, "network.onnx", "webgpu");
  const after = await open(ort, "map.onnx");
  return async (photograph, names) => {
    const { tiles, kept, ...scaling } = await before.run({ photograph });
    const [count, height, width] = tiles.dims;
    const [pixels, values] = [height * width * 3, height * width * classes]; // of a tile, and of its map
    const maps = new Float32Array(count * values);
    for (let number = 0; number < count; number++) {
      if (!kept.data[number]) continue;
      const tile = Float32Array.from(tiles.data.subarray(number * pixels, (number + 1) * pixels));
      const given = new onGpu.Tensor("float32", tile, [1, height, width, 3]);
      const results = await network.run({ [network.inputNames[0]]: given });
      maps.set(results[network.outputNames[0]].data, number * values);
    }
    return after.run({ maps: new ort.Tensor("float32", maps, [count, height, width, classes]), ...scaling }, names);
  };
}

function open(runtime, file, provider = "wasm") {
  const { env } = runtime;
  env.wasm.wasmPaths = new URL("./", import.meta.url).href;
  env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  env.logLevel = "error";
  return runtime.InferenceSession.create(file, { executionProviders: [provider], logSeverityLevel: 3 });
}

// Between the probabilities of a drawn eye: drivers and kernels for GPUs have faults that give wrong numbers and no error.
async function largestDifference(...runs) {
  const photograph = new ort.Tensor("uint8", eye(128), [128, 128, 3]);
  const maps = [];
  for (const run of runs) maps.push((await run(photograph, ["probabilities"])).probabilities.data);
  return maps[0].reduce((largest, value, place) => Math.max(largest, Math.abs(value - maps[1][place])), 0);
}

// An orange disc with dark and bright spots of several sizes, RGB.
function eye(size) {
  const pixels = new Uint8Array(size * size * 3);
  for (let y = 0, to = 0; y < size; y++) {
    for (let x = 0; x < size; x++, to += 3) {
      if (Math.hypot(x - size / 2, y - size / 2) > 0.48 * size) continue;
      const spots = Math.sin((x * x) / 300) * Math.sin((y * y) / 300);
      pixels.set(spots > 0.7 ? [240, 220, 120] : spots < -0.7 ? [110, 25, 10] : [190, 90, 40], to);
    }
  }
  return pixels;
}

function rgb(rgba) {
  const pixels = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    pixels[to++] = rgba[from];
    pixels[to++] = rgba[from + 1];
    pixels[to++] = rgba[from + 2];
  }
  return pixels;
}
