"""A model folder → a SavedModel for TF Serving.

python -m scripts.export --model=WORKDIR/model --output=OUT
"""

from pathlib import Path

from absl import flags

from scripts import command

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the served model; the SavedModel goes to OUT/VERSION.", required=True
)
_VERSION = flags.DEFINE_integer("version", 1, "Version under which it is served.", lower_bound=0)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace this version if it is there already.")


def main(_: list[str]) -> int:
    model = Path(_MODEL.value)
    with command.quiet_start():
        from pipeline.export import export_model
        from pipeline.segmenter import load_segmenter

        segmenter = load_segmenter(model)
    spec = segmenter.spec
    target = Path(_OUTPUT.value) / str(_VERSION.value)
    print(
        f"classes {', '.join(spec.classes)}, tiles of {spec.tile} pixels at scale {spec.scale:.4g} → {target}; "
        "signatures serving_default (encoded photograph), segment (decoded photograph), tiles",
        flush=True,
    )
    with command.quiet_start():
        export_model(segmenter, model, Path(_OUTPUT.value), version=_VERSION.value, overwrite=_OVERWRITE.value)
    print(f"exported: {target}    look: saved_model_cli show --dir {target} --all")
    return command.DONE


if __name__ == "__main__":
    command.run(main)
