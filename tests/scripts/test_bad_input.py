"""A user's mistake gives exit code 2 and one line that names it, and leaves nothing behind."""

import shutil
from pathlib import Path

import pytest

DEMO = "--config=tests/scripts/tiny_preset.py"


@pytest.fixture
def fails(run, tmp_path):
    """Runs a command that must fail by a user's mistake, and returns its line."""

    def failing(name: str, *arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        done = run(name, *arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, done.stderr
        assert sorted(tmp_path.rglob("*")) == before, "something was left behind"
        return errors[0]

    return failing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((DEMO, "--config.train.epoch=1"), "--config.train.epoch: no such field. Did you mean 'train.epochs'?"),
        ((DEMO, "--config.zzz=1"), "no such field. The sections are data, model, augment, train, segment, evaluate"),
        ((DEMO, "--config.train.epochs=many"), "flag --config.train.epochs=many"),
        ((DEMO, "--config.train.epochs=0"), "train.epochs must be at least 1; received 0"),
        ((DEMO, "--config.data.classes=3"), "data.classes must be of type tuple[str, ...]; received (3,)"),
        ((DEMO, "--config.model.network=unett"), "no such folder"),
        (("--config=configs/none.py",), "--config=configs/none.py: no such file; the presets are"),
        ((), "--config is required"),
        ((DEMO, "--surce=x"), "Unknown command line flag 'surce'"),
        ((DEMO, "stray"), "unexpected argument 'stray'"),
        ((DEMO, "--records=other"), "--records is given 2 times; give it once"),
    ],
)
def test_shard_refuses_a_wrong_command_line(fails, tmp_path, arguments, message):
    defaults = (f"--source={tmp_path / 'none'}", f"--records={tmp_path / 'records'}")
    assert message in fails("shard", *defaults, *arguments)


def test_shard_refuses_a_source_that_does_not_exist(fails, tmp_path):
    line = fails("shard", DEMO, "--source=/no/such", f"--records={tmp_path / 'records'}")
    assert "--source=/no/such: no such folder" in line


def test_shard_refuses_a_folder_without_photographs(fails, tmp_path):
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    (source / "masks").mkdir()
    line = fails("shard", DEMO, f"--source={source}", f"--records={tmp_path / 'records'}")
    assert "no photographs; expected files of .jpg" in line


def test_shard_refuses_masks_without_any_lesion(fails, way, tmp_path):
    (source := tmp_path / "source").mkdir()
    photograph = next(way.source.glob("A*/1*/b*/*.jpg"))
    for folder in ("images", "masks"):
        (source / folder).mkdir()
    shutil.copy(photograph, source / "images" / "a.jpg")
    import cv2

    cv2.imwrite(str(source / "masks" / "a.png"), cv2.imread(str(photograph), cv2.IMREAD_GRAYSCALE) * 0)
    line = fails("shard", DEMO, f"--source={source}", f"--records={tmp_path / 'records'}")
    assert "no mask shows any of HE; nothing to shard" in line


def test_shard_refuses_an_unreadable_mask_of_the_only_case(fails, way, tmp_path):
    source = tmp_path / "source"
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
    shutil.copy(next(way.source.glob("A*/1*/b*/*.jpg")), source / "images" / "a.jpg")
    (source / "masks" / "a.png").write_text("no image")
    line = fails("shard", DEMO, f"--source={source}", f"--records={tmp_path / 'records'}")
    assert "none of the 1 cases can be read" in line
    assert "a.png: not an image that can be read" in line


def test_shard_refuses_a_folder_of_another_set_and_a_file_in_its_place(fails, way, tmp_path):
    line = fails("shard", DEMO, f"--source={way.source}", f"--records={way.records}")
    assert "holds another set already; name another folder or add --overwrite" in line
    (tmp_path / "file").write_text("x")
    assert "a file is in the way" in fails("shard", DEMO, f"--source={way.source}", f"--records={tmp_path / 'file'}")


def test_shard_refuses_a_class_that_the_source_lacks(fails, way, tmp_path):
    line = fails(
        "shard", DEMO, "--config.data.classes=('XX',)", f"--source={way.source}", f"--records={tmp_path / 'r'}"
    )
    assert "IDRiD's layout has no class 'XX'; expected classes among MA, HE, EX, SE, OD" in line


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("--config.data.tile=512",), "data.tile is 256 in the records and 512 in the config"),
        (("--config.data.classes=('MA','HE')",), "class MA is known in no training photograph"),
        (("--config.train.batch_size=5000",), "train.batch_size is 5000, but"),
        (
            ("--config.model.network=unett",),
            "; received 'unett'. Did you mean 'unet'?",
        ),
        (("--config.train.loss=bce_dise",), "; received 'bce_dise'. Did you mean 'bce_dice'?"),
        (
            ("--config.model.unet.levels=10", "--config.model.unet.width=1"),
            "data.tile must be a multiple of the network's stride 512; received 256",
        ),
        (("--config.model.unet.activation=rellu",), "model.unet.activation must be one that Keras knows"),
        (("--config.train.initial_model=/no",), "train.initial_model=/no: contains no network.keras; expected a model"),
        (("--config.segment.tile=90",), "segment.tile must be a multiple of the network's stride 4; received 90"),
    ],
)
def test_train_refuses_what_does_not_fit(fails, way, tmp_path, overrides, message):
    small = ("--config.data.photographs_per_shard=3", f"--workdir={tmp_path / 'run'}")
    assert message in fails("train", DEMO, f"--records={way.records}", *small, *overrides)


def test_train_refuses_a_folder_without_records_and_a_workdir_of_another_config(fails, way, tmp_path):
    assert "no index.json there" in fails("train", DEMO, f"--records={tmp_path}", f"--workdir={tmp_path / 'run'}")
    other = ("--config.data.photographs_per_shard=3", "--config.train.seed=5")
    line = fails("train", DEMO, f"--records={way.records}", f"--workdir={way.workdir}", *other)
    assert "holds a run of another config: " in line
    assert "train.seed was 0 and is 5" in line


def test_train_refuses_a_shard_that_is_missing_or_shorter(fails, way, tmp_path):
    records = shutil.copytree(way.records, tmp_path / "records")
    shard = next(records.glob("*train*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    arguments = (DEMO, "--config.data.photographs_per_shard=3", f"--records={records}", f"--workdir={tmp_path / 'run'}")
    assert f"{shard.name}: {shard.stat().st_size} bytes, but the index says" in fails("train", *arguments)
    shard.unlink()
    assert f"{shard.name}: missing, but the index lists it" in fails("train", *arguments)


@pytest.mark.parametrize("name", ["eval", "predict", "export"])
def test_a_folder_without_a_model_is_refused(fails, way, tmp_path, name):
    (tmp_path / "empty").mkdir()
    source = (f"--source={way.source}",) if name == "eval" else ()
    photograph = (next(way.source.glob("A*/1*/b*/*.jpg")),) if name == "predict" else ()
    line = fails(name, f"--model={tmp_path / 'empty'}", f"--output={tmp_path / 'out'}", *source, *photograph)
    assert "contains no network.keras; expected a model folder" in line


@pytest.mark.parametrize("name", ["eval", "predict", "export"])
def test_for_a_class_that_the_model_lacks_its_classes_are_listed(fails, way, tmp_path, name):
    source = (f"--source={way.source}",) if name == "eval" else ()
    photograph = (next(way.source.glob("A*/1*/b*/*.jpg")),) if name == "predict" else ()
    model = f"--model={way.workdir / 'model'}"
    line = fails(name, model, "--classes=EX,HE", f"--output={tmp_path / 'out'}", *source, *photograph)
    assert "--classes=EX,HE: the model in" in line
    assert "has the classes HE; name some of them" in line


@pytest.mark.parametrize("name", ["eval", "predict"])
@pytest.mark.parametrize("flag", ["--threshold=1.5", "--min_area=HE=0"])
def test_an_operating_point_out_of_range_is_refused(fails, way, tmp_path, name, flag):
    source = (f"--source={way.source}",) if name == "eval" else (next(way.source.glob("A*/1*/b*/*.jpg")),)
    line = fails(name, f"--model={way.workdir / 'model'}", flag, f"--output={tmp_path / 'out'}", *source)
    assert f"{flag}: expected " in line


def test_predict_refuses_another_operating_point_in_a_folder_that_has_one(fails, way):
    before = {file: file.read_bytes() for file in way.predictions.rglob("*") if file.is_file()}
    arguments = (
        f"--model={way.workdir / 'model'}",
        f"--output={way.predictions}",
        next(way.source.glob("A*/1*/b*/*.jpg")),
    )
    line = fails("predict", *arguments, "--min_area=5")
    assert "at another operating point (without --threshold and --min_area) for 2 photographs" in line
    assert {file: file.read_bytes() for file in way.predictions.rglob("*") if file.is_file()} == before


def test_calibrate_refuses_an_existing_model_and_a_folder_without_results(fails, way, tmp_path):
    model = f"--model={way.workdir / 'model'}"
    line = fails("calibrate", model, f"--results={way.workdir}", f"--output={way.workdir / 'model'}")
    assert "holds a model already; name another folder, or add --overwrite" in line
    line = fails("calibrate", model, f"--results={way.records}", f"--output={tmp_path / 'out'}")
    assert "neither counts.npz of an evaluation there nor a finished fold" in line


def test_a_damaged_network_is_refused(fails, way, tmp_path):
    model = shutil.copytree(way.workdir / "model", tmp_path / "model")
    (model / "network.keras").write_bytes((model / "network.keras").read_bytes()[:5000])
    assert "network.keras: damaged" in fails("export", f"--model={model}", f"--output={tmp_path / 'out'}")


def test_predict_refuses_a_command_without_photographs(fails, way, tmp_path):
    arguments = (f"--model={way.workdir / 'model'}", f"--output={tmp_path / 'out'}")
    assert "expected photographs or folders of photographs after the flags" in fails("predict", *arguments)
    assert "no such file or folder" in fails("predict", *arguments, "/no/such.jpg")
    (tmp_path / "empty").mkdir()
    assert "contains no photographs; name the folder that does" in fails("predict", *arguments, tmp_path / "empty")
    assert "--full_size is about the files of --probabilities" in fails("predict", *arguments, "--full_size", tmp_path)


def test_eval_refuses_a_split_without_cases(fails, way, tmp_path):
    other = tmp_path / "source"
    for folder in ("images", "masks"):
        (other / folder).mkdir(parents=True)
        suffix = "jpg" if folder == "images" else "tif"
        origin = next(way.source.glob("A*/1*/b*/*.jpg" if folder == "images" else "A*/2*/b*/*/*.tif"))
        shutil.copy(origin, other / folder / f"other.{suffix}")
    line = fails("eval", f"--model={way.workdir / 'model'}", f"--source={other}", f"--output={tmp_path / 'out'}")
    assert "--split=validation:" in line
    assert "has none of its cases" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--source is required"),
        (("--source=s", "--output=o"), "--model is required, or --predictions"),
        (("--source=s", "--output=o", "--predictions=p", "--records=r"), "--records: tiles are scored by a model"),
        (("--source=s", "--output=o", "--model=m", "--levels=full"), "--levels: is about maps of --predictions;"),
        (
            ("--source=s", "--output=o", "--predictions=p", "--sweep"),
            "--sweep: least areas are at the scale of a network",
        ),
        (("--source=s", "--output=o", "--predictions=/nowhere"), "--predictions=/nowhere: no such folder"),
        (("a", "--model=m"), "unexpected argument 'a'"),
        (("--compare", "a", "--output=o"), "--compare takes two folders"),
        (("--compare", "/nowhere", "/nowhere", "--output=o"), "/nowhere: no scores.json there"),
    ],
)
def test_eval_refuses_what_does_not_fit_together(fails, arguments, message):
    assert message in fails("eval", *arguments)


def test_export_refuses_to_overwrite(fails, way):
    before = {file: file.read_bytes() for file in Path(way.export).rglob("*") if file.is_file()}
    line = fails("export", f"--model={way.workdir / 'model'}", f"--output={way.export}")
    assert "already exists; choose another --version, or add --overwrite" in line
    assert {file: file.read_bytes() for file in Path(way.export).rglob("*") if file.is_file()} == before


def test_export_refuses_an_unreadable_photograph_before_it_writes(fails, way, tmp_path):
    (tmp_path / "eye.jpg").write_text("no image")
    arguments = (f"--model={way.workdir / 'model'}", f"--output={tmp_path / 'out'}")
    line = fails("export", *arguments, f"--client_check={tmp_path / 'eye.jpg'}")
    assert "eye.jpg: not an image that can be read" in line
    assert "eye.png: cannot be read" in fails("export", *arguments, f"--client_check={tmp_path / 'eye.png'}")


def test_export_refuses_an_unknown_precision(fails, way, tmp_path):
    line = fails("export", f"--model={way.workdir / 'model'}", f"--output={tmp_path / 'out'}", "--precision=float16")
    assert "flag --precision=float16" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format=tflite",), "flag --format=tflite"),
        (("--format=onnx", "--onnx_precision=int4"), "flag --onnx_precision=int4"),
        (("--format=onnx", "--precision=float32"), "--format=onnx takes no --precision; leave it out."),
        (("--format=onnx", "--version=2"), "--format=onnx takes no --version"),
        (("--onnx_precision=int8",), "--format=saved_model takes no --onnx_precision"),
    ],
)
def test_export_refuses_unknown_formats_and_flags_of_the_other_format(fails, tmp_path, arguments, message):
    assert message in fails("export", "--model=m", f"--output={tmp_path / 'out'}", *arguments)
    assert not (tmp_path / "out").exists()
