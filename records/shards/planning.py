"""The plan of a set of records: cases with their final splits and what their masks show, before anything is written."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from configs import DataConfig, InputError
from records.cases import (
    SPLITS,
    Case,
    LabelledBy,
    Survey,
    assign_validation,
    by_kind,
    refuse_equal_files,
    survey_cases,
)
from records.images import ScaleRule, describe_scales
from records.parallel import Progress, Workers, no_progress
from records.shards.case_table import check_tables
from records.shards.index import MOST_CASES_IN_INDEX


@dataclasses.dataclass(frozen=True)
class RecordsPlan:
    """What a set of records will be made from; `str(plan)` is a summary of several lines.

    Attributes:
      layout: layout of the source, as `find_cases` returns it.
      cases: cases that can be read, with their final splits.
      surveys: survey of each of these cases, by its name.
      failures: for each case that cannot be read, by its name, a one-line reason.
      data: the data config.
      labelled_by: the models whose labels these are; None if people made them.
    """

    layout: str
    cases: Sequence[Case]
    surveys: Mapping[str, Survey]
    failures: Mapping[str, str]
    data: DataConfig
    labelled_by: LabelledBy | None = None

    def class_warnings(self) -> list[str]:
        """Returns what is to be known about classes that no photograph shows, one line each."""
        lines = []
        for name in self.data.classes:
            if not self._known(name):
                lines.append(f"{name} is known in no photograph; nothing can be learnt of it from this set alone")
            elif not self._showing(name) and not self._known(name) <= self._absent(name):
                lines.append(f"no photograph shows any {name}; check its masks, or its colour")
        return lines

    def known_photographs(self) -> dict[str, dict[str, int]]:
        """Returns for every class in how many photographs it is known, in a part alone, and said to be absent."""
        return {
            name: {
                "photographs": len(self._known(name)),
                "with_regions_left_out": sum(name in self.surveys[one].unknown_pixels for one in self._known(name)),
                "absent": len(self._absent(name)),
            }
            for name in self.data.classes
        }

    def scale_warnings(self) -> list[str]:
        """Returns what is to be known about the scales of single photographs, one line each."""
        return [f"{name}: {line}" for name, survey in self.surveys.items() for line in survey.scale.warnings()]

    def mask_warnings(self) -> dict[str, list[str]]:
        """Returns what is not plausible about masks, one line each, by kind; see `records.cases.mask_checks`."""
        return by_kind(warning for survey in self.surveys.values() for warning in survey.mask_warnings)

    def equal_pairs(self) -> list[tuple[str, str]]:
        """Returns the pairs of cases whose photographs are the same file, both in one split.

        Raises:
          InputError: the same file is in two splits.
        """
        return refuse_equal_files(
            list(self.cases), {name: survey.photograph_digest for name, survey in self.surveys.items()}
        )

    def __str__(self) -> str:
        lines = [self._class_line(index, name) for index, name in enumerate(self.data.classes)]
        healthy = collections.Counter(case.absent for case in self.cases if case.absent)
        for absent, count in sorted(healthy.items(), key=lambda item: sorted(item[0])):
            names = ", ".join(name for name in self.data.classes if name in absent)
            lines.append(f"healthy: {count} photographs are said to show no {names}")
        for split in SPLITS:
            members = [self.surveys[case.name] for case in self.cases if case.split == split]
            if members:
                tiles, nonempty = sum(s.tiles for s in members), sum(s.nonempty_tiles for s in members)
                lines.append(f"{split}: {len(members)} photographs, {nonempty} of {tiles} tiles show a lesion")
        total = sum(survey.nonempty_tiles for survey in self.surveys.values())
        data = self.data
        lines.append(
            f"in total {total} tiles with a lesion, of {data.tile} pixels at stride {data.stride} and "
            f"{ScaleRule.of(data)}, and up to {data.empty_per_nonempty:g} without one for each of them"
        )
        if data.field_diameter is not None:
            lines.append(f"scales: {describe_scales([survey.scale.factor for survey in self.surveys.values()])}")
        return "\n".join(lines)

    def _class_line(self, index: int, name: str) -> str:
        showing, known = self._showing(name), self._known(name)
        if not known:
            return f"class {index}, {name}: known in no photograph"
        lesions = sum(sum(survey.lesion_sizes[name]) for survey in showing)
        pixels = sum(self.surveys[one].known_pixels(name) for one in known)
        fraction = sum(survey.lesion_pixels[name] for survey in showing) / pixels
        left_out = sum(name in self.surveys[one].unknown_pixels for one in known)
        line = f"class {index}, {name}: {lesions} lesions in {len(showing)} of {len(known)} photographs, {fraction:.3%}"
        if len(known) == len(self.surveys) and not left_out:
            return f"{line} of all pixels"
        regions = f" ({left_out} with regions left out)" if left_out else ""
        return f"{line} of their known pixels; known in {len(known)} of {len(self.surveys)} photographs{regions}"

    def _known(self, name: str) -> set[str]:
        """Returns the names of the photographs where a class is known, at least in a part of them."""
        return {one for one, survey in self.surveys.items() if survey.known_pixels(name)}

    def _absent(self, name: str) -> set[str]:
        return {case.name for case in self.cases if name in case.absent}

    def _showing(self, name: str) -> list[Survey]:
        return [survey for survey in self.surveys.values() if survey.lesion_pixels[name]]


def plan_records(
    layout: str,
    cases: list[Case],
    data: DataConfig,
    *,
    source: str,
    keep_splits: bool,
    workers: Workers,
    strict: bool = False,
    rule: ScaleRule | None = None,
    labelled_by: LabelledBy | None = None,
    progress: Progress = no_progress,
) -> RecordsPlan:
    """Reads the masks of all cases and assigns some training cases to validation.

    Args:
      layout: layout of the source, as `find_cases` returns it.
      cases: cases with the splits of their source, or those that the user gave.
      data: the data config.
      source: what messages call the folder of the cases.
      keep_splits: whether the cases keep their splits, so that none is moved to validation.
      workers: number of cases that are read at once, or a cluster.
      strict: whether a case that cannot be read, or whose scale cannot be measured, is an error; otherwise it is left
        out, or scaled as well as can be.
      rule: how photographs are scaled; None: as the data config says.
      labelled_by: the models whose labels these are; None if people made them.
      progress: shows how many masks have been read.

    Raises:
      InputError: no case can be read, none shows a lesion and none is said to be healthy, what the index of so many
        needs is missing, or, if strict, any case cannot be read.
    """
    if len(cases) > MOST_CASES_IN_INDEX:
        check_tables(len(cases))
    surveys, failures = survey_cases(cases, data, strict=strict, workers=workers, rule=rule, progress=progress)
    if not surveys:
        first = next(iter(failures.values()))
        raise InputError(f"{source}: none of the {len(cases)} cases can be read; the first: {first}")
    healthy = any(case.absent for case in cases if case.name in surveys)
    if not healthy and not any(survey.nonempty_tiles for survey in surveys.values()):
        raise InputError(f"{source}: no mask shows any of {', '.join(data.classes)}; nothing to shard.")
    unknown = [name for name, survey in surveys.items() if survey.scale.ruler == "frame"]
    if strict and unknown:
        raise InputError(
            f"{unknown[0]}: no circle of a field of view could be fitted, as for {len(unknown)} of {len(cases)} "
            "photographs; give --scale for them, or leave --strict out."
        )
    readable = [case for case in cases if case.name in surveys]
    if not keep_splits:
        fractions = {name: survey.lesion_fraction for name, survey in surveys.items()}
        readable = assign_validation(readable, fractions, fraction=data.validation_fraction, seed=data.seed)
    return RecordsPlan(layout, readable, surveys, failures, data, labelled_by)
