#!/usr/bin/env bash
# Puts the files of onnxruntime-web that the page needs into a folder: bash docs/demo/runtime.sh OUT; npm downloads them.
set -euo pipefail
version=1.30.0
cd "$1"
npm pack --silent "onnxruntime-web@$version" > /dev/null
for file in ort.{wasm,webgpu}.min.mjs ort-wasm-simd-threaded{,.asyncify}.{mjs,wasm}; do
  tar -xzf "onnxruntime-web-$version.tgz" --strip-components=2 "package/dist/$file"
done
rm "onnxruntime-web-$version.tgz"
