"""The README of an export, and the limits of its decoder, which the SavedModel's metadata states as well."""

from pipeline.export.lesion_graph import DIRECTIONS
from pipeline.inference import SegmenterSpec
from pipeline.operating_point import OperatingPoint
from records import ScaleRule

SERVING_DEFAULT_LEAVES = (
    "serving_default decodes JPEG and PNG to the same pixels as predict, CMYK to within one of 255 levels. It leaves "
    "to the client: orientation tags (the map is oriented like the pixels as stored), colour profiles other than sRGB "
    "(Display P3, Adobe RGB), exact CMYK, all other formats (TIFF, BMP, WebP, DICOM), and a limit on the number of "
    "pixels. The client decodes and rotates such a photograph, converts it to sRGB, and sends it to the signature "
    "segment as RGB."
)

README = """\
# A fundus-tiles export

A TensorFlow SavedModel that maps whole fundus photographs to one probability map per class. It needs only tensorflow,
or TF Serving (whose `--model_base_path` is the parent of this folder). Not a medical device.

| class | threshold | least detection, pixels |
| --- | --- | --- |
{rows}
{areas}
| signature | input |
| --- | --- |
| `serving_default` | `encoded_photograph`: the bytes of a file, string scalar |
| `segment` | `photograph`: uint8 RGB `[H, W, 3]` |
| `tiles` | `tiles`: float32 RGB 0..255 `[B, {tile}, {tile}, 3]`, of the scaled photograph |

Each returns `probabilities`, float32 0..1: `[H, W, {classes}]`, or `[B, {tile}, {tile}, {classes}]` for tiles.

Three more take `encoded_photographs`, the bytes of B files of any sizes, string `[B]`, and reply in a few kilobytes:

- `lesions`: `number` of detections, int32 `[B]`; `sizes`, int32 `[B, 2]` (height, width); and of each of N detections,
  filled up with −1, `class`, `areas` (pixels), `mean_probabilities`, `maximum_probabilities` `[B, N]`, `boxes`
  `[B, N, 4]` (x, y, width, height), `centers` `[B, N, 2]` (x, y), and `contours` `[B, N, {directions}, 2]` (x, y), the
  farthest pixel in each of {directions} directions.
- `masks`: `masks_bytes`, a PNG for each photograph and class, string `[B, {classes}]`, 255 where a detection is.
- `map8`: `map8_bytes`, a grey PNG of round(255 p) for each photograph and class, string `[B, {classes}]`, at the
  network's scale; `factors` by which photographs were scaled, float32 `[B]`; `sizes`.

`lesions` and `masks` also take `thresholds`, float32, and `min_areas` (pixels of the photograph), int32, both of shape
`[B or 1, {classes} or 1]`. 0 stands for the model's own. The file names `[[0]]` as the default of both, for servers
that fill in what a request leaves out; others must be sent it. In rows (`instances`), each photograph has `[0]`.

{leaves}

The graph resizes the photograph to {scale}, cuts it into tiles of {tile} pixels, runs {tile_batch} of
them through the network at once, in {precision}, and blends and enlarges their maps to the photograph's size.

```python
model = tf.saved_model.load(FOLDER)  # keep this variable: signatures do not keep the weights alive
probabilities = model.signatures["serving_default"](tf.constant(open("eye.jpg", "rb").read()))["probabilities"]
lesions = model.signatures["lesions"](
    encoded_photographs=tf.constant([open("eye.jpg", "rb").read()]), thresholds=[[0.0]], min_areas=[[0]]
)
metadata = model.metadata()          # classes, thresholds, min_area, scale, tile, …
least = model.least_areas(photograph)  # of each class: pixels of the least detection in this one, uint8 RGB [H, W, 3]
```

```bash
# TF Serving over REST, in rows. A map of serving_default is large as JSON, and for gRPC's limit of 4 MB.
echo '{{"signature_name": "lesions", "instances": [{{"encoded_photographs": {{"b64": "'$(base64 -w0 eye.jpg)'"}},
  "thresholds": [0], "min_areas": [0]}}]}}' > request.json
curl -d @request.json http://localhost:8501/v1/models/NAME:predict     # {{"predictions": [{{"number": …}}]}}
```

`python verify.py` checks whether a machine computes the same map as the machine that wrote this export, and compares
the time that the graph takes with that of its bare network.
"""


AREAS = """
A detection is an 8-connected region of pixels at or above the threshold, of at least so many pixels **of the scaled
photograph** (`min_areas`; 0: every region). In pixels of the photograph as sent that is the number divided by the
square of the factor by which it is scaled, rounded, and at least 1; `least_areas`, which is no signature, computes it.
"""


def pixel_areas(operating_point: OperatingPoint, rule: ScaleRule) -> tuple[int, ...] | None:
    """Returns the least areas in pixels of a photograph; None if they differ between photographs."""
    if operating_point.min_areas and rule.scale is None:
        return None
    return operating_point.of_photograph(rule.scale).least_areas


def readme(spec: SegmenterSpec, rule: ScaleRule, operating_point: OperatingPoint, *, precision: str) -> str:
    """Returns the README of an export that scales photographs by `rule`."""
    same = pixel_areas(operating_point, rule)
    limits = zip(spec.classes, operating_point.thresholds, same or operating_point.min_areas, strict=True)
    return README.format(
        rows="\n".join(f"| {name} | {threshold:g} | {area:g} |" for name, threshold, area in limits),
        areas="" if same else AREAS,
        classes=len(spec.classes),
        directions=DIRECTIONS,
        tile=spec.tile,
        tile_batch=spec.tile_batch,
        scale=rule,
        precision=precision,
        leaves=SERVING_DEFAULT_LEAVES.replace("serving_default", "`serving_default`").replace(
            "signature segment", "signature `segment`"
        ),
    )
