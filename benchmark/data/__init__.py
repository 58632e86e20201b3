"""Every source of slices, turned into the same `SliceSet`.

The readers, and the heavy packages they need, are imported when a source is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.slices import (
    MENINGIOMA,
    SPACING_MM,
    RawSlice,
    SliceSet,
    checked,
    gather,
    iterate,
)
from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.data.registry import SourceCounts

FORMS = {  # module -> what it looks for; asked in this order
    "kaggle": "images.npy, masks.npy and labels.npy",
    "nifti": "images/N.nii.gz and masks/N.nii.gz",
    "pairs": "images/N.png and masks/N.png (or .webp, .tif)",
    "figshare": "N.mat, brainTumorDataPublic_*.zip, or one such zip",
}
WORDS = ("figshare", "phantoms")


def load(
    source: str | Path,
    *,
    labels: Iterable[int] | None = (MENINGIOMA,),
    allow_empty_masks: bool = False,
    spacing_mm: tuple[float, float] | None = None,
) -> SliceSet:
    """Load a folder or zip of any known form, or one of two words: "figshare" downloads the
    archive, "phantoms" makes phantoms.

    labels chooses classes, None all. spacing_mm gives the (row, column) pixel size of files that do
    not tell it. Slices of Cheng's dataset are recognised by their masks, in any form, and get their
    numbers, labels and patients from a registry: see `registry.identify`; the set's note says so in
    one line. Raises `DataError` for a path that is not there or of no known form, and for every
    rule of `slices.gather`; `DownloadError` for "figshare".
    """
    _check_spacing(spacing_mm)
    if source == "phantoms":
        return _phantoms(spacing_mm)
    from benchmark.data.registry import CHENG_DATASET_ID, SourceCounts

    labels = None if labels is None else set(labels)
    counts = SourceCounts()
    identified = _identified(source, spacing_mm, counts)
    slices = gather(identified, labels=labels, allow_empty_masks=allow_empty_masks)
    slices = replace(slices, note=counts.note(labels))
    if slices.dataset_id == CHENG_DATASET_ID and slices.spacing_mm != SPACING_MM:
        raise DataError(
            f"{locate(source)}: these are Cheng's slices of {SPACING_MM} mm a pixel, "
            f"not {slices.spacing_mm} mm"
        )
    return slices


def stream(
    source: str | Path,
    *,
    labels: Iterable[int] | None = (MENINGIOMA,),
    allow_empty_masks: bool = False,
    spacing_mm: tuple[float, float] | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[RawSlice]:
    """Yield the slices that `load` would stack, one at a time and of any size, in their file order.

    Each is held to the rules for one slice (`slices.checked`) and has a pixel size, Cheng's where
    nothing tells it, as in `load`. At the end say, if any, is given the note of what was
    recognised, if any. Raises `DataError` as `load` does, when the slice at fault is reached.
    """
    _check_spacing(spacing_mm)
    if source == "phantoms":
        yield from iterate(_phantoms(spacing_mm))
        return
    from benchmark.data.registry import SourceCounts

    labels = None if labels is None else set(labels)
    counts = SourceCounts()
    identified = _identified(source, spacing_mm, counts)
    for raw in checked(identified, labels=labels, allow_empty_masks=allow_empty_masks):
        yield replace(raw, spacing_mm=raw.spacing_mm or SPACING_MM)
    if say is not None and (note := counts.note(labels)):
        say(note)


def _check_spacing(spacing_mm: tuple[float, float] | None) -> None:
    if spacing_mm is not None and not all(0.01 <= side <= 100 for side in spacing_mm):
        raise DataError(f"pixel spacing {spacing_mm} mm must be two numbers from 0.01 to 100")


def _phantoms(spacing_mm: tuple[float, float] | None) -> SliceSet:
    made: SliceSet = import_module("benchmark.data.phantoms").make()
    return made if spacing_mm is None else replace(made, spacing_mm=spacing_mm)


def _identified(
    source: str | Path, spacing_mm: tuple[float, float] | None, counts: SourceCounts
) -> Iterator[RawSlice]:
    from benchmark.data.registry import identify

    path = locate(source)
    reader = import_module(f"benchmark.data.{form(path)}")
    return identify(_spaced(reader.read(path), spacing_mm), counts=counts)


def locate(source: str | Path) -> Path:
    """Return the path of a source, fetching the archive first where it is the word "figshare"."""
    if source == "figshare":
        from benchmark.data.download import fetch

        return fetch()
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise DataError(f"{source}: {error}; give the whole path") from error


def form(source: str | Path) -> str:
    """Return which of `FORMS` a path has, or raise `DataError` saying what was looked for."""
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(
            f"{path}: not there; give a folder or zip of slices, or one of the words "
            f"{', '.join(WORDS)}"
        )
    names = [name for name in FORMS if import_module(f"benchmark.data.{name}").looks_like(path)]
    if not names:
        if import_module("benchmark.data.brisc").looks_like(path):
            raise DataError(
                f"{path}: a second reading of Cheng's slices and no data set of its own; have it "
                "scored with `score`, and give Cheng's slices with --data"
            )
        looked = "; ".join(f"{name}: {what}" for name, what in FORMS.items())
        raise DataError(f"{path}: no known form of slices; looked for {looked}")
    if len(names) > 1:
        raise DataError(
            f"{path}: holds several forms of slices ({', '.join(names)}); keep one of them"
        )
    return names[0]


def authors_folds(source: str | Path) -> dict[int, int] | None:
    """Return slice number -> fold from the `cvind.mat` beside the slices, or None without one.

    For the word "figshare" that is the cache folder; nothing is fetched.
    """
    from benchmark.data.cvind import read_cvind
    from benchmark.data.download import cache_folder

    if source == "phantoms":
        return None
    path = cache_folder() if source == "figshare" else Path(source).expanduser()
    folder = path if path.is_dir() else path.parent
    return read_cvind(folder) if (folder / "cvind.mat").is_file() else None


def _spaced(
    source: Iterable[RawSlice], spacing_mm: tuple[float, float] | None
) -> Iterator[RawSlice]:
    """Give slices of unknown pixel size the stated one; `DataError` where a file says otherwise."""
    for raw in source:
        if spacing_mm is not None and raw.spacing_mm not in (None, spacing_mm):
            raise DataError(
                f"{raw.origin}: its header says {raw.spacing_mm} mm a pixel, but {spacing_mm} mm "
                "was given; leave the option out, or mend the header"
            )
        yield raw if spacing_mm is None else replace(raw, spacing_mm=spacing_mm)
