"""What clients of an export are told, in the SavedModel and beside it."""

from pipeline.inference import SegmenterSpec

SERVING_DEFAULT_LEAVES = (
    "serving_default reads JPEG and PNG to the same pixels as predict, CMYK to one of 255 levels. It leaves to the "
    "client: orientation tags (pixels are taken as they are stored, and the map lies as they do), exact CMYK, all "
    "other formats (TIFF, BMP, WebP, DICOM), and a limit of pixels. Such a photograph is decoded and turned by the "
    "client, and sent to the signature segment as RGB."
)

README = """\
# A fundus-tiles export

A TensorFlow SavedModel: whole fundus photographs in, a probability map a class out. It needs tensorflow, or TF Serving
(`--model_base_path` is the folder above this one), and nothing else. Not a medical device.

| class | threshold |
| --- | --- |
{rows}

| signature | input |
| --- | --- |
| `serving_default` | `encoded_photograph`: the bytes of a file, string scalar |
| `segment` | `photograph`: uint8 RGB `[H, W, 3]` |
| `tiles` | `tiles`: float32 RGB 0..255 `[B, {tile}, {tile}, 3]`, of the scaled photograph |

Each gives `probabilities`, float32 0..1: `[H, W, {classes}]`, and of tiles `[B, {tile}, {tile}, {classes}]`.

{leaves}

Inside, the photograph is shrunk to {scale:.4g} of its size and cut into tiles of {tile} pixels; {tile_batch} of them go
through the network at once, in {precision}; their maps are blended and enlarged to the photograph's size.

```python
model = tf.saved_model.load(FOLDER)  # keep it in a variable: its signatures do not hold its weights
probabilities = model.signatures["serving_default"](tf.constant(open("eye.jpg", "rb").read()))["probabilities"]
words = model.metadata()             # classes, thresholds, scale, tile, …
```

```bash
# TF Serving over REST. A map is long as JSON: use gRPC, with max_receive_message_length raised, where time counts.
echo '{{"inputs": {{"encoded_photograph": {{"b64": "'$(base64 -w0 eye.jpg)'"}}}}}}' > request.json
curl -d @request.json http://localhost:8501/v1/models/NAME:predict     # {{"outputs": [[[…]]]}}
```

`python verify.py` says whether a machine gives the map that this export gave where it was made, and how much the graph
costs over its bare network there.
"""


def readme(spec: SegmenterSpec, precision: str) -> str:
    """Returns the README of an export."""
    return README.format(
        rows="\n".join(
            f"| {name} | {threshold:g} |" for name, threshold in zip(spec.classes, spec.thresholds, strict=True)
        ),
        classes=len(spec.classes),
        tile=spec.tile,
        tile_batch=spec.tile_batch,
        scale=spec.scale,
        precision=precision,
        leaves=SERVING_DEFAULT_LEAVES.replace("serving_default", "`serving_default`").replace(
            "signature segment", "signature `segment`"
        ),
    )
