#!/usr/bin/env bash
# Puts the page, an ONNX export and onnxruntime-web together into a folder that any web server can serve.
# bash docs/demo/build.sh EXPORT OUT        needs npm, which downloads onnxruntime-web; the page itself loads nothing
set -euo pipefail
version=1.30.0
if [ $# -ne 2 ] || [ ! -f "$1/segmenter.onnx" ]; then
  echo "usage: bash docs/demo/build.sh EXPORT OUT, where EXPORT is a folder of python -m scripts.export --format=onnx" >&2
  exit 2
fi
export=$(realpath "$1") page=$(dirname "$(realpath "$0")")
mkdir -p "$2"
cd "$2"
npm pack --silent "onnxruntime-web@$version" > /dev/null
for file in ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm; do
  tar -xzf "onnxruntime-web-$version.tgz" --strip-components=2 "package/dist/$file"
done
rm "onnxruntime-web-$version.tgz"
cp "$page"/index.html "$page"/page.css "$page"/page.js "$page"/worker.js "$export/segmenter.onnx" "$export/metadata.json" .
echo "built: $2    see: python -m http.server --directory $2"
