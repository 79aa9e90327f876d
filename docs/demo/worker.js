// Runs segmenter.onnx beside the page, which stays responsive.
import * as ort from "./ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
ort.env.logLevel = "error";
let session = null;

self.addEventListener("message", async ({ data }) => {
  try {
    session ??= await ort.InferenceSession.create("segmenter.onnx", { executionProviders: ["wasm"], logSeverityLevel: 3 });
    const began = performance.now();
    const photograph = new ort.Tensor("uint8", rgb(data.pixels), [data.height, data.width, 3]);
    // The map itself stays where it is: it is the largest of the results.
    const { masks, lesions } = await session.run({ photograph }, ["masks", "lesions"]);
    const seconds = (performance.now() - began) / 1000;
    const [count, columns] = lesions.dims;
    const rows = Array.from({ length: count }, (_, row) => [...lesions.data.subarray(row * columns, (row + 1) * columns)]);
    self.postMessage({ masks: masks.data, classes: masks.dims[2], lesions: rows, seconds });
  } catch (error) {
    session = null; // after memory ran out it cannot be used any more
    self.postMessage({ error: `The photograph could not be segmented: ${error.message ?? error}` });
  }
});

function rgb(rgba) {
  const pixels = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    pixels[to++] = rgba[from];
    pixels[to++] = rgba[from + 1];
    pixels[to++] = rgba[from + 2];
  }
  return pixels;
}
