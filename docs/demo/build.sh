#!/usr/bin/env bash
# Puts the page, an ONNX export and onnxruntime-web together into a folder that any web server can serve.
# bash docs/demo/build.sh EXPORT OUT        needs npm, which downloads onnxruntime-web; the page itself loads nothing
set -euo pipefail
if [ $# -ne 2 ] || [ ! -f "$1/segmenter.onnx" ]; then
  echo "usage: bash docs/demo/build.sh EXPORT OUT, where EXPORT is a folder of python -m scripts.export --format=onnx" >&2
  exit 2
fi
if [ ! -f "$1/tiles.onnx" ]; then
  echo "$1: an export of an earlier version; export again with --overwrite" >&2
  exit 2
fi
page=$(dirname "$0")
mkdir -p "$2"
bash "$page/runtime.sh" "$2"
cp "$page"/{index.html,page.css,page.js,worker.js} "$1"/{segmenter,tiles,network,map}.onnx "$1/metadata.json" "$2"
echo "built: $2    see: python -m http.server --directory $2"
