"""What is known of the classes of photographs is found in every way in which it can be said, and nothing is guessed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from configs import DataConfig, InputError
from records import ALL_KNOWN, Case, KnownRules, case_digests, find_cases, read_labels, survey_case
from records.cases import find_training_cases
from records.cases.known import Knowledge

CLASSES = ("HE", "EX")
PHOTOGRAPHS = ("images/a.png", "images/b.png")
MASKS = ("masks/HE/a.png", "masks/HE/b.png", "masks/EX/a.png", "masks/EX/b.png")
IDRID = ("1. Original Images/a. Training Set", "2. All Segmentation Groundtruths/a. Training Set")


def write(folder: Path, *files: str, size: tuple[int, int] = (6, 8), level: int = 0) -> Path:
    """Writes grey images of one level, (H, W)."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size, level, np.uint8)).save(folder / file)
    return folder


def table(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def found(
    source: Path | None, classes: tuple[str, ...] = CLASSES, *, known: KnownRules = ALL_KNOWN, **options: bool
) -> tuple[dict[str, Case], list[str]]:
    """Returns the cases by name, and the warnings."""
    lines: list[str] = []
    cases = find_cases(source, classes, known=known, warn=lines.append, **options)[1]
    return {case.name: case for case in cases}, lines


def refusal(source: Path | None, classes: tuple[str, ...] = CLASSES, **given: object) -> str:
    with pytest.raises(InputError) as error:
        found(source, classes, **given)
    assert "\n" not in str(error.value)
    return str(error.value)


def said(cases: dict[str, Case]) -> dict[str, tuple[set[str], set[str]]]:
    """Returns the unknown and the absent classes of each case."""
    return {name: (set(case.unknown), set(case.absent)) for name, case in cases.items()}


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path / "source", *PHOTOGRAPHS, *MASKS)


@pytest.mark.parametrize(
    ("file", "classes"),
    [
        ("masks/HE_ignore/a.png", {"HE"}),
        ("masks/HE_ignore/a_HE_ignore.png", {"HE"}),
        ("masks/a_HE_ignore.png", {"HE"}),
        ("masks/ignore/a.png", {"HE", "EX"}),
        ("masks/ignore/a_ignore.png", {"HE", "EX"}),
        ("masks/a_ignore.png", {"HE", "EX"}),
    ],
)
def test_regions_to_leave_out_have_the_names_that_masks_have(source, file, classes):
    cases, lines = found(write(source, file))
    assert dict(cases["a"].ignored) == dict.fromkeys(classes, (source / file,))
    assert cases["b"].ignored == {} and lines == []
    assert None not in cases["a"].masks.values()


def test_regions_of_a_class_and_of_all_are_united(source):
    cases, _ = found(write(source, "masks/EX_ignore/a.png", "masks/ignore/a.png"))
    assert dict(cases["a"].ignored) == {
        "EX": (source / "masks/EX_ignore/a.png", source / "masks/ignore/a.png"),
        "HE": (source / "masks/ignore/a.png",),
    }


@pytest.mark.parametrize(
    "file", ["masks/ignore/001/a.png", "masks/001/ignore/a.png", "masks/001/a_ignore.png", "masks/HE_ignore/001/a.png"]
)
def test_in_trees_regions_lie_where_masks_may_lie(tmp_path, file):
    source = write(tmp_path, "images/001/a.png", "images/b.png", "masks/HE/001/a.png", "masks/HE/b.png", file)
    cases, lines = found(source, ("HE",), recursive=True)
    assert cases["001_a"].ignored["HE"] == (source / file,) and not cases["b"].ignored and lines == []


@pytest.mark.parametrize("file", ["masks/ignore/a.png", "masks/a_EX_ignore.png", "masks/EX_ignore/a.png"])
def test_regions_lie_beside_coloured_masks(tmp_path, file):
    cases, lines = found(write(tmp_path, *PHOTOGRAPHS, "masks/a.png", "masks/b.png", file), colored=True)
    assert cases["a"].ignored["EX"] == (tmp_path / file,) and cases["a"].masks["EX"] == tmp_path / "masks/a.png"
    assert ("HE" in cases["a"].ignored) == ("EX" not in file) and lines == []


@pytest.mark.parametrize("file", ["masks/MA_ignore/a.png", "masks/a_MA_ignore.png"])
def test_regions_of_a_class_that_is_not_asked_for_are_named(source, file):
    (line,) = found(write(source, file))[1]
    assert "masks of classes that are not asked for" in line and file in line


def test_regions_without_photograph_several_and_folders_in_other_letters_are_refused(source, tmp_path):
    assert "Did you mean 'a'?" in refusal(write(source, "masks/HE_ignore/A.png"))
    other = write(tmp_path / "several", *PHOTOGRAPHS, *MASKS, "masks/ignore/a.png", "masks/ignore/a_2.png")
    assert "--unite_masks" in refusal(other)
    assert len(found(other, unite_masks=True)[0]["a"].ignored["HE"]) == 2
    other = write(tmp_path / "letters", *PHOTOGRAPHS, *MASKS, "masks/he_Ignore/a.png")
    assert "expected in a folder 'HE_ignore'; rename it" in refusal(other)
    (other / "masks" / "he_Ignore").rename(tmp_path / "away")
    for name, ending in (("a_he_ignore", "_HE_ignore"), ("a_Ignore", "_ignore")):
        assert f"end in '{ending}'; rename it" in refusal(write(other, f"masks/{name}.png"))
        (other / "masks" / f"{name}.png").unlink()


def test_regions_of_another_size_are_refused(source):
    write(source, "masks/HE_ignore/a.png", size=(8, 6))
    with pytest.raises(InputError, match=r"HE_ignore.a\.png: 6x8 pixels, but its photograph a\.png has 8x6"):
        read_labels(found(source)[0]["a"], (6, 8), DataConfig(classes=CLASSES))


def test_hard_negatives_belong_to_cases_by_name(source):
    table(source / "hard_negatives" / "a.csv", "class,y,x,height,width,probability")
    cases, lines = found(source)
    assert cases["a"].hard_negatives == source / "hard_negatives" / "a.csv"
    assert cases["b"].hard_negatives is None and lines == []
    table(source / "hard_negatives" / "A.csv", "class,y,x,height,width,probability")
    assert "A.csv: hard negatives of no photograph; rename or remove it. Did you mean 'a'?" in refusal(source)


def test_a_class_that_is_not_labelled_needs_no_folder_and_is_unknown(tmp_path):
    source = write(tmp_path, *PHOTOGRAPHS, "masks/HE/a.png", "masks/HE/b.png")
    assert "no mask of class EX" in refusal(source) and "--labelled" in refusal(source)
    cases, lines = found(source, known=KnownRules("HE"))
    assert said(cases) == {"a": ({"EX"}, set()), "b": ({"EX"}, set())} and lines == []
    assert cases["a"].masks == {"HE": source / "masks/HE/a.png", "EX": None}
    assert said(found(source, allow_missing_masks=True)[0])["a"] == (set(), set())


def test_masks_of_classes_that_are_not_labelled_are_counted_and_not_used(source):
    write(source, "masks/EX_ignore/a.png")
    cases, (line,) = found(source, known=KnownRules("HE"))
    assert cases["a"].masks["EX"] is None and not cases["a"].ignored
    assert "3 not used (masks of classes that are not labelled): masks/EX/a.png, masks/EX/b.png, masks/EX_" in line


def test_in_idrids_layout_a_class_that_is_not_labelled_needs_no_folder(tmp_path):
    photographs, masks = IDRID
    source = write(tmp_path, f"{photographs}/I_01.png", f"{masks}/2. Haemorrhages/I_01_HE.png")
    assert "3. Hard Exudates: no such folder" in refusal(source)
    assert "no class 'IRMA'" in refusal(source, ("HE", "IRMA"))
    assert said(found(source, known=KnownRules("HE"))[0]) == {"I_01": ({"EX"}, set())}
    assert said(found(source, ("HE", "IRMA"), known=KnownRules("HE"))[0]) == {"I_01": ({"IRMA"}, set())}


@pytest.mark.parametrize("separator", [" ", ";", "|", ", "])
@pytest.mark.parametrize("flag", [False, True])
def test_a_table_says_of_each_photograph_what_was_looked_for(tmp_path, separator, flag):
    source = write(tmp_path / "source", *PHOTOGRAPHS, "images/c.png", "masks/HE/a.png", "masks/EX/a.png")
    write(source, "masks/EX/b.png")
    path = tmp_path / "t.csv" if flag else source / "labels.csv"
    table(path, "case,labelled,absent", f'a.png,"HE{separator}EX",', "b,EX,", f'c,,"EX{separator}HE"')
    cases, lines = found(source, known=KnownRules(str(path) if flag else None))
    assert said(cases) == {"a": (set(), set()), "b": ({"HE"}, set()), "c": (set(), {"HE", "EX"})}
    assert lines == []


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data(), number=st.integers(1, 6))
def test_each_class_is_unknown_where_it_is_neither_labelled_nor_absent(tmp_path_factory, data, number):
    classes = ("HE", "EX", "MA")
    some = st.sets(st.sampled_from([*classes, "OD"]))
    rows = {f"e{index}": (data.draw(some), data.draw(some)) for index in range(number)}
    path = tmp_path_factory.mktemp("tables") / "labels.csv"
    table(path, "absent;case;labelled", *(f"{' '.join(b)};{name};{'|'.join(a)}" for name, (a, b) in rows.items()))
    masks = {name: Path(f"{name}.png") for name in classes}
    cases = [Case(name, Path(f"{name}.jpg"), masks, "train") for name in rows]
    told = Knowledge(ALL_KNOWN, classes, ["OD"], path, recursive=False, warn=print).tell(cases, ()).cases
    expected = {name: set(classes) - labelled - absent for name, (labelled, absent) in rows.items()}
    assert {case.name: case.unknown for case in told} == {n: one for n, one in expected.items() if one != set(classes)}
    for case in told:
        assert case.absent == rows[case.name][1] & set(classes)
        assert {name for name, mask in case.masks.items() if mask is None} == case.unknown


def test_what_a_table_says_is_absent_is_known_although_nobody_looked_for_the_rest(tmp_path):
    source = write(tmp_path, *PHOTOGRAPHS, "masks/HE/a.png", "masks/EX/a.png")
    table(source / "labels.csv", "case,labelled,absent", "a,HE EX,", "b,,HE")
    assert said(found(source)[0])["b"] == ({"EX"}, {"HE"})


def test_a_flag_takes_the_place_of_the_table_in_the_source(source):
    table(source / "labels.csv", "case,labelled", "a,HE", "b,HE")
    cases, lines = found(source, known=KnownRules("HE,EX"))
    assert said(cases) == dict.fromkeys("ab", (set(), set()))
    assert lines == [f"{source / 'labels.csv'}: not used, as --labelled says which classes were looked for"]


def test_rows_may_name_other_photographs_and_other_classes_of_the_source(source):
    write(source, "masks/IRMA/a.png", "masks/IRMA/b.png")
    table(source / "labels.csv", "case,labelled", "a,HE EX IRMA", "b,HE MA", "z,HE")
    cases, lines = found(source)
    assert said(cases) == {"a": (set(), set()), "b": ({"EX"}, set())}
    assert any("1 of 3 rows name no photograph here: z" in line for line in lines)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("case,labelled", "a,HE EX"), "1 of 2 photographs have no row, the first is 'b'; add a row for each"),
        (("case,labelled", "a,HE", "b,Hx"), "no class 'Hx'; expected classes among HE, EX, or others of the source."),
        (("case,labelled", "a,HEX", "b,HE"), "no class 'HEX'; expected classes among HE, EX"),
        (("case,labelled,absent", "a,HE,IRMA", "b,HE,"), "no class 'IRMA'"),
        (("image,level", "a,2", "b,0"), "expected the columns case and labelled; it has 'image,level'"),
        (("case,labelled", "a,HE", "b,HE", "b,EX"), "case 'b' needs exactly one list of classes; it has 'HE' and 'EX'"),
        (("case,labelled", "x,HE", "y,HE"), "none of its 2 rows names a photograph"),
        (("case,labelled", "a,MA", "b,"), "nothing is known of HE, EX in any of its photographs"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(source, rows, message):
    table(source / "labels.csv", *rows)
    assert message in refusal(source)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (KnownRules("HE,Ex"), "--labelled: no class 'Ex'; expected classes among HE, EX, or others of the source. Did"),
        (KnownRules(""), "--labelled=: names no class"),
        (KnownRules("none.csv"), "--labelled=none.csv: cannot be read (No such file or directory)"),
        (KnownRules("MA"), "nothing is known of HE, EX"),
        (KnownRules(absent=("HE",)), "--absent: says which classes"),
        (KnownRules(healthy="nowhere"), "--healthy=nowhere: no such file or folder"),
    ],
)
def test_flags_that_do_not_fit_are_refused(source, rules, message):
    assert message in refusal(source, known=rules)


def test_photographs_of_which_nothing_is_known_are_left_out_and_counted(source):
    table(source / "labels.csv", "case,labelled", "a,HE", "b,")
    cases, lines = found(source)
    assert list(cases) == ["a"]
    assert any("1 not used (photographs of which nothing is known" in line and "images/b.png" in line for line in lines)


def test_healthy_photographs_of_the_source_need_no_masks(tmp_path):
    source = write(tmp_path / "source", *PHOTOGRAPHS, "images/c.png", "masks/HE/a.png", "masks/EX/a.png")
    write(source, "masks/EX/c.png")
    healthy = table(tmp_path / "healthy.csv", "case,absent", "b,HE EX", "c,HE")
    cases, lines = found(source, known=KnownRules(healthy=str(healthy)))
    assert said(cases) == {"a": (set(), set()), "b": (set(), {"HE", "EX"}), "c": (set(), {"HE"})} and lines == []
    healthy = table(tmp_path / "healthy.csv", "case,absent", "b,HE", "c,HE")
    assert said(found(source, known=KnownRules(healthy=str(healthy)))[0])["b"] == ({"EX"}, {"HE"})


def test_a_source_of_healthy_photographs_needs_no_folder_of_masks(tmp_path):
    source = write(tmp_path, *PHOTOGRAPHS)
    healthy = table(tmp_path / "healthy.csv", "case", "a", "b")
    cases, lines = found(source, ("HE",), known=KnownRules(healthy=str(healthy)))
    assert said(cases) == dict.fromkeys("ab", (set(), {"HE"})) and lines == []
    assert "masks: no such folder" in refusal(source, ("HE",), allow_missing_masks=True)


def test_a_folder_of_healthy_photographs_is_added_to_the_source(source, tmp_path):
    folder = write(tmp_path / "healthy", "h.png", "i.jpg")
    cases, lines = found(source, known=KnownRules(healthy=str(folder), absent=("HE",)))
    assert list(cases) == ["a", "b", "h", "i"] and lines == []
    assert said(cases)["h"] == ({"EX"}, {"HE"}) and said(cases)["a"] == (set(), set())
    assert cases["h"].masks == {"HE": None, "EX": None} and cases["h"].split == "train"
    alone, _ = found(None, known=KnownRules(healthy=str(folder), absent=("HE", "EX")))
    assert said(alone) == dict.fromkeys("hi", (set(), {"HE", "EX"}))


def test_a_table_of_healthy_photographs_may_name_files_from_its_folder(source, tmp_path):
    write(tmp_path / "more", "h.png", "i.png", "ill.png")
    healthy = table(tmp_path / "healthy.csv", "case,absent", "more/h.png,HE EX", "more/i.png,", "b,EX", "nobody,")
    cases, lines = found(source, known=KnownRules(healthy=str(healthy), absent=("HE",)))
    assert said(cases) == {
        "a": (set(), set()),
        "b": (set(), {"EX"}),
        "h": (set(), {"HE", "EX"}),
        "i": ({"EX"}, {"HE"}),
    }
    assert cases["h"].photograph == tmp_path / "more" / "h.png"
    assert len(lines) == 1 and "1 of 4 rows name no photograph here: nobody" in lines[0]
    assert list(found(None, ("HE",), known=KnownRules(healthy=str(table(tmp_path / "t.csv", "case", "more/h.png"))))[0])


def test_a_path_in_a_table_of_healthy_photographs_is_not_taken_for_another_photograph_of_that_name(source, tmp_path):
    write(tmp_path, "more/a.png")
    healthy = table(tmp_path / "healthy.csv", "case,absent", "more/a.png,HE", "source/images/b.png,EX")
    assert "more/a.png" in (message := refusal(source, known=KnownRules(healthy=str(healthy))))
    assert "has the same name" in message
    (tmp_path / "more" / "a.png").unlink()
    assert said(found(source, known=KnownRules(healthy=str(healthy)))[0]) == {
        "a": (set(), {"HE"}),
        "b": (set(), {"EX"}),
    }


def test_a_folder_of_healthy_photographs_that_are_those_of_the_source_is_refused_with_what_to_do(source):
    message = refusal(source, known=KnownRules(healthy=str(source / "images"), absent=("HE",)))
    assert "is in --source and among the further photographs of --healthy" in message


def test_healthy_photographs_that_do_not_fit_are_refused(source, tmp_path):
    folder = write(tmp_path / "healthy", "a.png")
    assert "--absent=HE,EX" in refusal(source, known=KnownRules(healthy=str(folder)))
    assert "has the same name" in refusal(source, known=KnownRules(healthy=str(folder), absent=("HE",)))
    assert "holds images/ and masks/" in refusal(None, known=KnownRules(healthy=str(source), absent=("HE",)))
    assert "no class 'he'" in refusal(None, known=KnownRules(healthy=str(folder), absent=("he",)))
    healthy = table(tmp_path / "t.csv", "case,absent", "x.png,HE")
    assert "there is no such file" in refusal(None, known=KnownRules(healthy=str(healthy)))
    assert "add --source" in refusal(None, known=KnownRules("HE", str(folder), ("HE",)))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "contains no photographs" in refusal(source, known=KnownRules(healthy=str(empty), absent=("HE",)))


def test_healthy_photographs_of_other_classes_are_left_out_and_counted(source, tmp_path):
    folder = write(tmp_path / "healthy", "h.png")
    cases, (line,) = found(source, known=KnownRules(healthy=str(folder), absent=("MA",)))
    assert list(cases) == ["a", "b"] and "1 not used (photographs of which nothing is known" in line and "h" in line
    assert "nothing is known of HE, EX" in refusal(None, known=KnownRules(healthy=str(folder), absent=("MA",)))


def test_a_healthy_photograph_with_a_mask_that_is_not_black_is_refused(source, tmp_path):
    write(source, "masks/HE/a.png", level=255)
    healthy = table(tmp_path / "t.csv", "case,absent", "a,HE")
    case = found(source, known=KnownRules(healthy=str(healthy)))[0]["a"]
    with pytest.raises(InputError, match=r"HE.a\.png: shows HE, but a is said to be free of it; correct one of both"):
        survey_case(case, DataConfig(classes=CLASSES, tile=16, stride=16))
    other = found(source, known=KnownRules(healthy=str(table(tmp_path / "t.csv", "case,absent", "b,HE"))))[0]["b"]
    assert not read_labels(other, (6, 8), DataConfig(classes=CLASSES)).masks.any()


def test_a_coloured_mask_is_used_while_any_of_its_classes_is_known(tmp_path):
    source = write(tmp_path, *PHOTOGRAPHS, "masks/a.png", "masks/b.png")
    table(source / "labels.csv", "case,labelled,absent", "a,HE,", "b,,EX")
    cases, lines = found(source, colored=True)
    assert said(cases) == {"a": ({"EX"}, set()), "b": ({"HE"}, {"EX"})} and lines == []
    assert all(case.masks["EX"] == source / f"masks/{name}.png" for name, case in cases.items())


def test_the_digest_of_a_case_says_what_is_known_of_it(tmp_path):
    source = write(tmp_path / "source", *PHOTOGRAPHS, "masks/HE/a.png", "masks/HE/b.png")
    folder = write(tmp_path / "healthy", "h.png")
    rules = [KnownRules("HE"), KnownRules("HE", str(folder), ("HE",)), KnownRules("HE", str(folder), ("HE", "EX"))]
    ways = [found(source, known=one)[0] for one in rules] + [found(source, allow_missing_masks=True)[0]]
    assert len({case_digests(way["a"])[1] for way in ways}) == 2
    assert len({case_digests(way["h"])[1] for way in ways[1:3]}) == 2


def test_folds_of_several_sources_share_no_table_and_no_healthy_photographs(source, tmp_path):
    data = DataConfig(classes=CLASSES)
    for rules in (KnownRules("t.csv"), KnownRules(healthy="t.csv")):
        with pytest.raises(InputError, match=r"are of one --source; put a labels\.csv into each"):
            find_training_cases([source, tmp_path], data, known=rules)
    (cases,), _ = find_training_cases([source], data, known=KnownRules("EX"))
    assert all(case.unknown == {"HE"} for case in cases)
