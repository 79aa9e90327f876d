#!/usr/bin/env bash
# The whole way on synthetic photographs: write, shard, train, evaluate, predict, export, and hold the export against
# predict; then the pretrained model. Takes a few minutes on two cores. DEMO (default runs/demo) is where everything is
# written; it is made anew.
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
    echo "error: $demo is there and was not made by the demo; set DEMO to another folder." >&2
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
step "Export, and send it a photograph as a client does"
"$python" -m scripts.export --model="$demo/run/model" --output="$demo/export" \
  --client_check="$demo/source/A. Segmentation/1. Original Images/b. Testing Set/SYN_17.jpg"
step "Reload the export in a process that imports only tensorflow"
"$python" -I "$demo/export/1/verify.py"

step "Predict with the model that comes along, which was trained on real photographs"
"$python" -m scripts.predict --model=pretrained/idrid_lesions --output="$demo/pretrained" \
  "$demo/source/A. Segmentation/1. Original Images/b. Testing Set"

step "Done in $((SECONDS / 60)) min $((SECONDS % 60)) s. Open:"
echo "  $demo/predictions/overlays/   found lesions, outlined"
echo "  $demo/pretrained/overlays/    the same of the model that comes along (lesions of five kinds; it has never seen a drawing)"
echo "  $demo/run/curves.png          how training went"
echo "  $demo/run/previews/           validation photographs over the epochs, outlined"
echo "  $demo/run/report.html         scores of whole test photographs, the worst and the best of them"
echo "  $demo/run/scores.json         the same as numbers"
