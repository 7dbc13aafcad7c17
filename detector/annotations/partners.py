"""Which XML belongs to which photo of a folder.

The XML of a photo has its stem (cat.xml) or its name (cat.jpg.xml), else a stem that is written otherwise (pairing.py),
else it names the photo in its <filename>. Of several photos with one stem, <filename> decides. XML of other kinds
(GDAL's cat.jpg.aux.xml) is passed over where a photo has its own.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

from detector.annotations import pairing
from detector.annotations.voc import NOT_VOC, REPAIRED, SKIPPED, WARNING, Annotation, Problem

SIDECAR = ".aux.xml"  # GDAL's, beside each photo that QGIS has shown


@dataclass(frozen=True)
class Label:
    """The content of an XML, or None where it cannot be used, and its problems."""

    annotation: Annotation | None
    problems: tuple[Problem, ...] = ()

    @property
    def is_other(self) -> bool:
        """Whether it is XML of another kind than PASCAL VOC."""
        return any(problem.kind == NOT_VOC for problem in self.problems)


@dataclass(frozen=True)
class Pairing:
    """labels: {photo: its XML}. doubtful: {photo: why no XML is known to be its own}. problems: of files, by name."""

    labels: dict[str, str]
    doubtful: dict[str, Problem]
    problems: list[tuple[str, Problem]]


def pair(photos: Collection[str], labels: Mapping[str, Label]) -> Pairing:
    """Each photo's XML, by their names; and what has no partner, or several."""
    partners = _Partners(photos, labels)
    partners.by_exact_name()
    partners.by_other_spelling()
    partners.by_filename()
    return partners.result()


def base_name(filename: str) -> str:
    """The file's name in a <filename>, which may be a path of another machine."""
    return PurePosixPath(filename.replace("\\", "/")).name


class _Partners:
    """What is known so far: `meant` is {XML: photo}; `open` are the XML files that may still have a partner."""

    def __init__(self, photos: Collection[str], labels: Mapping[str, Label]) -> None:
        self.photos, self.labels = dict.fromkeys(sorted(photos)), labels
        self.open = dict.fromkeys(sorted(labels))
        self.free = dict(self.photos)  # photos that no XML means
        self.meant: dict[str, str] = {}
        self.doubtful: dict[str, Problem] = {}
        self.problems: list[tuple[str, Problem]] = []

    def by_exact_name(self) -> None:
        by_stem = pairing.grouped(self.photos, lambda photo: PurePath(photo).stem)
        for name in [name for name in self.open if _stem(name) in self.photos]:
            self._mean(name, _stem(name))
        for name in list(self.open):
            candidates = by_stem.get(_stem(name), [])
            photos = [photo for photo in candidates if photo in self.free] or candidates
            if len(photos) > 1:
                self._decide(name, photos)
            elif photos:
                self._mean(name, photos[0])

    def by_other_spelling(self) -> None:
        stems = pairing.unique(self.free, lambda photo: PurePath(photo).stem)
        names = pairing.unique(self.open, _stem)
        for stem, match in pairing.match(names, stems).items():
            reason = f"its name is written otherwise: it differs from the photo's in {match.differs_by}"
            self._mean(names[stem], stems[match.name], reason)

    def by_filename(self) -> None:
        names = pairing.unique(self.open, self._filename)
        for filename, match in pairing.match(names, self.free).items():
            self._mean(names[filename], match.name, "paired by <filename>: no photo has the XML's own name")

    def result(self) -> Pairing:
        chosen = {}
        for photo, names in pairing.grouped(sorted(self.meant), self.meant.__getitem__).items():
            own = [name for name in names if not self.labels[name].is_other] or names[:1]
            if len(own) > 1:
                self._doubt(photo, f"several XML files: {', '.join(own)}", "remove all but one")
            else:
                chosen[photo] = own[0]
                self._pass_over(name for name in names if name != own[0])
        self._pass_over(name for name in self.open if self.labels[name].is_other)
        missing = Problem("", "its image is missing", "put the image beside it, under the same name", SKIPPED)
        self.problems += [(name, missing) for name in self.open if not self.labels[name].is_other]
        return Pairing(chosen, self.doubtful, self.problems)

    def _mean(self, name: str, photo: str, reason: str = "") -> None:
        self.meant[name] = photo
        del self.open[name]
        self.free.pop(photo, None)
        if reason:
            self.problems.append((name, Problem("", reason, f"taken for {photo}", REPAIRED)))

    def _filename(self, name: str) -> str:
        annotation = self.labels[name].annotation
        return base_name(annotation.filename) if annotation else ""

    def _decide(self, name: str, photos: Sequence[str]) -> None:
        """Which of several photos of one stem an XML means."""
        filename = self._filename(name)
        if match := pairing.match([filename], photos).get(filename):
            self._mean(name, match.name)
            return
        del self.open[name]
        for photo in photos:
            self._doubt(photo, f"several photos of one stem: {', '.join(photos)}", f"say in {name} which it is of")

    def _doubt(self, photo: str, reason: str, remedy: str) -> None:
        self.doubtful[photo] = Problem("", reason, remedy, SKIPPED)
        self.free.pop(photo, None)

    def _pass_over(self, names: Iterable[str]) -> None:
        passed_over = Problem("", "passed over: it is no annotation of a photo", "nothing to do", WARNING)
        self.problems += [(name, passed_over) for name in names if not name.lower().endswith(SIDECAR)]


def _stem(name: str) -> str:
    return name[: -len(".xml")]
