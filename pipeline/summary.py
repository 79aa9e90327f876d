"""Summary: from the counts of photographs to all numbers of `scores.json`, and the tables beside it.

`scores.json` holds what the run says of itself, and the numbers. Where a number has no meaning it is null (blank in the
tables), never NaN.

| key | what it is |
| --- | --- |
| `schema_version` | of the folder, `pipeline.results.SCHEMA_VERSION` |
| `model`, `predictions`, `source`, `layout`, `split`, `records` | what was scored, as given; null where not given |
| `photographs` | how many |
| `left_out` | list of `{"case", "why"}` |
| `classes`, `bins`, `thresholds` | names; of the histograms; `{class: threshold}` |
| `threshold_source` | `validation` (best on the validation photographs of the training), `config`, or `given` |
| `threshold_seen` | true where these photographs are the ones that the threshold was chosen on |
| `binary` | classes whose maps hold but 0 and 1: their curves have a single point |
| `versions`, `fingerprints` | `{package: version}`; `{"config", "records"}` of the model, or null |
| `seconds` | `{"segmenting", "scoring", "total"}` |
| `bootstrap` | `{"resamples", "seed", "level"}`; null with one photograph, then all intervals are null |
| `scores` | `scores[region][class][score]`: pooled over photographs |
| `intervals` | `intervals[region][class][score]`: `[low, high]` or null |
| `over_classes` | `over_classes[region][score]`: `{"value", "interval", "classes"}`, the mean over the classes that have lesion pixels |
| `per_photograph` | `per_photograph[region][class][score]`: `{"photographs", "mean", "median", "mean_interval", "median_interval"}` |
| `without_lesion` | `without_lesion[region][class]`: `{"photographs", "with_false_positives", "false_positive_pixels", "false_positive_share", "false_regions"}`, of the photographs without a pixel of the class, in the frame; regions are counted in the frame alone |
| `calibration` | `calibration[region][class]`: list of `{"least", "below", "pixels", "mean_probability", "lesion_share"}` |
| `lesions` | `lesions[class]`: see below |

Regions are `frame` and `field_of_view`. Scores, each pooled over pixels (`pipeline.scores` has the definitions):
`aupr`, `aupr_33`, `aupr_33_trapezoid`, `aupr_11_trapezoid`, `roc_auc`, `dice`, `iou`, `sensitivity`, `ppv`,
`specificity`, `ece`, then the counts `lesion_pixels`, `found_pixels`, `false_positive_pixels`, `pixels`. They are the
columns of `photographs.csv` after `case`, `class`, `region`, followed by `lesions`, `lesions_found`, `regions`,
`false_regions` (of the whole frame in both regions' rows).

`lesions[class]`: `lesions`, `found`, `sensitivity`, `sensitivity_interval`, `sensitivity_one_pixel`, `regions`,
`false_positives`, `false_positives_per_photograph`, `false_positives_interval`, `ppv`; `froc`:
`{"false_positives": [1/8 … 8], "sensitivity": […], "intervals": […], "reaches"}`, where `reaches` is the false
positives a photograph at the curve's end, beyond which a sensitivity is that of the end; `by_size`: list of
`{"least", "below", "lesions", "found", "sensitivity"}`, pixels. The curve itself: `pipeline.lesion_matching.froc`.

`lesions.csv`: `case`, `class`, `kind` (`true` or `found`), `number` (from 1 in its photograph, class and kind), then the
fields of `pipeline.lesion_matching.REGION`.
"""
