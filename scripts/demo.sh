#!/usr/bin/env bash
# Runs every step on synthetic photographs: write them, shard, train, evaluate, predict, export, and compare the export with
# predict; then predicts with the pretrained model. Takes about four minutes on two cores. Everything is written to the
# folder DEMO (default runs/demo), which is emptied first.
set -euo pipefail
if [[ $# -gt 0 ]]; then
  echo "usage: [DEMO=FOLDER] bash scripts/demo.sh    (an earlier demo in the folder is replaced)" >&2
  exit 2
fi
source "$(dirname "$0")/environment.sh"

demo=${DEMO:-runs/demo}
python=.venv/bin/python
config=configs/demo.py
if [[ -e $demo ]]; then
  if [[ ! -f $demo/.demo ]]; then
    echo "error: $demo exists and was not made by the demo; set DEMO to another folder." >&2
    exit 2
  fi
  rm -r "$demo"
fi
mkdir -p "$demo"
touch "$demo/.demo"

step() { echo; echo "== $*"; }

step "Synthetic photographs"
"$python" -m scripts.synthesize --output="$demo/source"
step "Shard"
"$python" -m scripts.shard --config=$config --source="$demo/source" --records="$demo/records"
step "Train"
"$python" -m scripts.train --config=$config --records="$demo/records" --source="$demo/source" --workdir="$demo/run"
step "Evaluate on the test photographs"
"$python" -m scripts.eval --model="$demo/run/model" --source="$demo/source" --split=test --records="$demo/records" \
  --output="$demo/run" --baseline
step "Predict"
"$python" -m scripts.predict --model="$demo/run/model" --output="$demo/predictions" --probabilities \
  "$demo/source/A. Segmentation/1. Original Images/b. Testing Set"
step "Export, and segment a photograph with it as a client does"
"$python" -m scripts.export --model="$demo/run/model" --output="$demo/export" \
  --client_check="$demo/source/A. Segmentation/1. Original Images/b. Testing Set/SYN_17.jpg"
step "Reload the export in a process that imports only tensorflow"
"$python" -I "$demo/export/1/verify.py"

step "Predict with the pretrained model, which was trained on real photographs"
"$python" -m scripts.predict --model=pretrained/idrid_lesions --output="$demo/pretrained" \
  "$demo/source/A. Segmentation/1. Original Images/b. Testing Set"

step "Done in $((SECONDS / 60)) min $((SECONDS % 60)) s. Open:"
echo "  $demo/predictions/overlays/   detections, outlined"
echo "  $demo/pretrained/overlays/    detections of the pretrained model (five classes; it has never seen a drawing)"
echo "  $demo/run/curves.png          curves of the training"
echo "  $demo/run/previews/           validation photographs after each epoch, outlined"
echo "  $demo/run/report.html         scores of the test photographs, and the worst and the best of them"
echo "  $demo/run/scores.json         the same scores as numbers"
