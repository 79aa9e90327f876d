"""The documentation: links, commands, flags, config fields and paths exist, and the README's Python example runs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from configs.schema import field_names

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for top in ("docs", "pretrained", "tools") for page in (ROOT / top).rglob("*.md"))]
)
README, WORKSPACE = (ROOT / "README.md").read_text(), (ROOT / "WORKSPACE.md").read_text()
MOST_LINES = 150
FIELDS = field_names()
SECTIONS = {name[: place.start()] for name in FIELDS for place in re.finditer(r"\.", name)}  # model, model.fast, …
PACKAGES = ("configs", "models", "pipeline", "records", "scripts")
FLAG = re.compile(r"(?<![\w-])--([A-Za-z][\w-]*)(?![\w.-])")

# Imports each command anew and prints the flags that it defines.
LIST_FLAGS = """
import importlib, json, pathlib, sys
from absl import app, flags, logging
of_absl, listed = set(flags.FLAGS), {}
for file in sorted(pathlib.Path("scripts").glob("[a-z]*.py")):
    for module in [module for module in sys.modules if module.split(".")[0] == "scripts"]:
        del sys.modules[module]
    importlib.import_module(f"scripts.{file.stem}")
    listed[file.stem] = sorted(set(flags.FLAGS) - of_absl)
    for name in listed[file.stem]:
        delattr(flags.FLAGS, name)
print(json.dumps(listed))
"""


def prose(text: str) -> str:
    """Returns a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def code_blocks(text: str, language: str = "") -> list[str]:
    """Returns the contents of the code blocks of a page."""
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def spans(text: str) -> list[str]:
    """Returns the code spans of a page, each on one line."""
    paragraphs = prose(text).split("\n\n")
    return [" ".join(span.split()) for paragraph in paragraphs for span in re.findall(r"`([^`]+)`", paragraph)]


def code_lines(text: str) -> list[str]:
    """Returns all code of a page: code spans, and lines of code blocks with continuation lines joined."""
    return spans(text) + [line for block in code_blocks(text) for line in block.replace("\\\n", " ").splitlines()]


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def dead_links(text: str, folder: Path) -> list[str]:
    """Returns the relative links of a page in `folder` that lead nowhere."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]+`", "`code`", prose(text))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = folder / path
        page = text if not path else file.read_text() if file.suffix == ".md" and file.is_file() else ""
        if not file.exists() or (anchor and anchor not in anchors(page)):
            dead.append(target)
    return dead


def uses(text: str, flags: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yields the commands that a page runs, as `("scripts.shard", arguments)` or `("scripts/demo.sh", arguments)`."""
    for line in code_lines(text):
        for part in re.split(r"&&|;|\|", line):
            if run := re.search(r"python\S* -m (scripts\.\w+)(.*)", part) or re.search(r"bash (scripts/\S+)(.*)", part):
                yield run[1], run[2]
    for span in spans(text):
        name, _, arguments = span.partition(" ")
        if name in flags:
            yield f"scripts.{name}", arguments


def unknown_commands(text: str, flags: Mapping[str, list[str]]) -> list[str]:
    """Returns the commands and shell scripts that a page runs and that do not exist."""
    return [
        command
        for command, _ in uses(text, flags)
        if command != "scripts.NAME"
        and not (command.removeprefix("scripts.") in flags or ("/" in command and (ROOT / command).is_file()))
    ]


def unknown_flags(text: str, flags: Mapping[str, list[str]]) -> list[str]:
    """Returns the flags on a page that its command does not have, or, where it names no command, no command has."""
    of_scripts = {f"scripts/{file.name}": set(FLAG.findall(file.read_text())) for file in ROOT.glob("scripts/*.sh")}
    known = {f"scripts.{name}": {*names, *(f"no{flag}" for flag in names), "help"} for name, names in flags.items()}
    known |= of_scripts
    unknown = [
        f"{command} --{flag}"
        for command, arguments in uses(text, flags)
        for flag in FLAG.findall(arguments)
        if command in known and flag not in known[command]
    ]
    anywhere = set().union(*known.values())
    alone = [flag for span in spans(text) if span.startswith("--") for flag in FLAG.findall(span)]
    return unknown + [f"--{flag}" for flag in alone if flag not in anywhere]


def unknown_fields(text: str) -> list[str]:
    """Returns the config fields on a page that the schema lacks.

    They are given as `--config.SECTION.FIELD` in any code, as `section.field` or `section.field=value` in a code span,
    or in the first column of a table whose header has `--config.SECTION.…`.
    """
    given = [name.rstrip(".") for line in code_lines(text) for name in re.findall(r"--config\.([\w.]+)", line)]
    sections = "|".join(sorted(section for section in SECTIONS if "." not in section))
    given += [found[1] for span in spans(text) if (found := re.fullmatch(rf"((?:{sections})\.[\w.]+)(?:=.*)?", span))]
    section = None
    for line in prose(text).splitlines():
        if not line.startswith("|"):
            section = None
            continue
        first = line.split("|")[1]
        if header := re.search(r"--config\.([\w.]+)\.…", first):
            section = header[1]
        elif section:
            names = (span.partition("=")[0] for span in spans(first))
            given += [f"{section}.{name}" for name in names if re.fullmatch(r"[a-z_]\w*", name)]
    return [name for name in given if name != "SECTION.FIELD" and name not in {*FIELDS, *SECTIONS}]


def missing_paths(text: str) -> list[str]:
    """Returns the files, folders and modules of the project that a page names in code and that do not exist.

    Names in capitals, as in `configs/NAME.py`, are placeholders.
    """
    missing = []
    tops = "|".join([*PACKAGES, "docs", "pretrained", "tests", "tools"])
    for line in code_lines(text):
        for path in re.findall(rf"(?<![\w./-])(?:{tops})/[\w./-]+", line):
            placeholder = re.search("[A-Z]", path) and not path.endswith(".md")
            if not placeholder and not (ROOT / path.rstrip("./")).exists():
                missing.append(path)
    for span in spans(text):
        for name in re.findall(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})\.[a-z_]\w*(?:\.\w+)*(?![\w/])", span):
            if not module_or_name_exists(name):
                missing.append(name)
    return missing


def module_or_name_exists(dotted: str) -> bool:
    """Whether `package.module` exists, or `package.module.name` is a name that occurs in the module."""
    path, parts = ROOT, dotted.split(".")
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    file = path / "__init__.py"
    if parts and (path / f"{parts[0]}.py").is_file():
        file = path / f"{parts.pop(0)}.py"
    return not parts or (file.is_file() and re.search(rf"\b{parts[0]}\b", file.read_text()) is not None)


def mapped_folders(block: str) -> list[str]:
    """Returns the folders of a map such as WORKSPACE.md's, in which deeper folders are indented by two spaces."""
    folders: list[str] = []
    parents: list[str] = []
    for indent, name in re.findall(r"^( *)([a-z_]+)/ ", block, re.MULTILINE):
        parents = [*parents[: len(indent) // 2], name]
        folders.append("/".join(parents))
    return folders


@pytest.fixture(scope="module")
def flags() -> dict[str, list[str]]:
    """The flags of each command, by its name."""
    done = subprocess.run([sys.executable, "-c", LIST_FLAGS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_links_lead_somewhere(page):
    problems = dead_links(page.read_text(), page.parent)
    assert not problems, problems


@every_page
def test_commands_exist(page, flags):
    problems = unknown_commands(page.read_text(), flags)
    assert not problems, problems


@every_page
def test_flags_exist(page, flags):
    problems = unknown_flags(page.read_text(), flags)
    assert not problems, problems


@every_page
def test_config_fields_exist(page):
    problems = unknown_fields(page.read_text())
    assert not problems, problems


@every_page
def test_paths_exist(page):
    problems = missing_paths(page.read_text())
    assert not problems, problems


@pytest.mark.parametrize("name", ["README.md", "WORKSPACE.md"])
def test_readme_and_workspace_are_short(name):
    assert len((ROOT / name).read_text().splitlines()) <= MOST_LINES


def test_the_readme_lists_every_command_with_a_link(flags):
    rows = re.findall(r"^\| `(\w+)` \|.*\]\(docs/\S+\) \|$", README, re.MULTILINE)
    differing = set(rows) ^ set(flags)
    assert not differing, differing
    assert len(rows) == len(flags)


def test_the_readme_links_every_page_of_docs():
    linked = set(re.findall(r"\]\((docs/\w[\w-]*\.md)", README))
    assert linked == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_pages_of_docs_begin_with_the_question_that_they_answer(page):
    title, first_paragraph = page.read_text().split("\n\n")[:2]
    assert title.startswith("# ")
    assert "?" in first_paragraph


def test_the_map_has_every_folder_of_code():
    block = next(block for block in code_blocks(WORKSPACE) if block.startswith("configs/"))
    folders = mapped_folders(block)
    code = {str(file.parent.relative_to(ROOT)) for top in PACKAGES for file in (ROOT / top).rglob("__init__.py")}
    assert {folder for folder in folders if folder.split("/")[0] in PACKAGES} == code
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


@pytest.mark.slow  # it imports TensorFlow
def test_the_readme_example_finds_lesions_in_a_photograph(tmp_path):
    (example,) = code_blocks(README, "python")
    (tmp_path / "eye.jpg").write_bytes((ROOT / "docs" / "demo.jpg").read_bytes())
    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment.pop("KERAS_BACKEND", None)
    arguments = [sys.executable, "-c", example]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Z]{2} at row \d+ and column \d+ of \d+ pixels", line)] == []


SOME_FLAGS = {"shard": ["source", "check", "config"], "eval": ["split"]}


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "there.md").write_text("# The title, with a comma\n\n```\n# no heading\n```\n## Twice\n## Twice\n")
    good = "[a](there.md) [b](there.md#the-title-with-a-comma) [c](there.md#twice-1) [d](https://keras.io) `[e](f)`"
    assert dead_links(good, tmp_path) == []
    bad = "# Here\n[a](here.md) [b](there.md#no-heading) [c](#her) [d](#here) ![e](e.png)"
    assert dead_links(bad, tmp_path) == ["here.md", "there.md#no-heading", "#her", "e.png"]


@pytest.mark.parametrize("text", ["`python -m scripts.{}`", "```bash\ncd / && .venv/bin/python -m scripts.{} --x\n```"])
def test_an_unknown_command_is_found(text):
    assert unknown_commands(text.format("shard"), SOME_FLAGS) == []
    assert unknown_commands(text.format("NAME"), SOME_FLAGS) == []
    assert unknown_commands(text.format("shards"), SOME_FLAGS) == ["scripts.shards"]


def test_an_unknown_shell_script_is_found():
    assert unknown_commands("`bash scripts/test.sh` and `bash scripts/tests.sh`", SOME_FLAGS) == ["scripts/tests.sh"]


def test_an_unknown_flag_is_found():
    assert unknown_flags("`shard --check --nocheck --help --config.data.seed=1`, `--split=test`", SOME_FLAGS) == []
    block = "```bash\npython -m scripts.shard --source=A \\\n  --split=B   # or --check\npip install --quiet x\n```"
    assert unknown_flags(block, SOME_FLAGS) == ["scripts.shard --split"]
    assert unknown_flags("`eval --check`, a span\nthat goes `eval\n--splits=a`", SOME_FLAGS) == [
        "scripts.eval --check",
        "scripts.eval --splits",
    ]
    assert unknown_flags("`--sources` alone", SOME_FLAGS) == ["--sources"]
    assert unknown_flags("`bash scripts/demo.sh --fast`", SOME_FLAGS) == ["scripts/demo.sh --fast"]


def test_an_unknown_field_is_found():
    good = (
        "`--config.train.epochs=5` `--config.train.…` `--config.SECTION.FIELD` "
        "`train.crop=3` `model.fast.stem` `model.fast`"
    )
    assert unknown_fields(good) == []
    assert unknown_fields("```\npython x --config.train.epoch=5\n```\n`data.tiles`, `model.fast.stems=2`") == [
        "train.epoch",
        "data.tiles",
        "model.fast.stems",
    ]


def test_an_unknown_field_in_a_table_is_found():
    rows = "| --- | --- |\n| `crop`, `--records=A`, `data.tile` | `x` |\n| `crops=2` | |\n\n| `other` | |\n"
    assert unknown_fields(f"| field, `--config.train.…` | |\n{rows}") == ["train.crops"]
    assert unknown_fields(f"| file | |\n{rows}") == []


def test_a_missing_path_or_module_is_found():
    good = (
        "`records/grid.py` `configs/NAME.py` `tests/models/test_NAME.py` `tools/gpu_kernels/README.md` "
        "`runs/records/x` `records.grid.window` `scripts.shard`"
    )
    assert missing_paths(good) == []
    bad = (
        "`records/grids.py` `docs/NO.md` `records.grids` `records.grid.no_such` `pipeline/nowhere/`\n"
        "```bash\ncat configs/x.py\n```"
    )
    assert sorted(missing_paths(bad)) == [
        "configs/x.py",
        "docs/NO.md",
        "pipeline/nowhere/",
        "records.grid.no_such",
        "records.grids",
        "records/grids.py",
    ]


def test_the_folders_of_a_map_are_read_with_their_parents():
    assert mapped_folders("a/    one\n  b/  two\n    c/   three\n  d/  x/y four\ne/ five\n") == [
        "a",
        "a/b",
        "a/b/c",
        "a/d",
        "e",
    ]
