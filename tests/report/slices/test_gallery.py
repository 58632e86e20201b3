"""What the gallery shows is what the runs stored: every outline, Dice and area."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from run_records import halves, rows_found, squares, write_run

from benchmark.data.slices import SliceSet
from benchmark.judge.cells import Panel, panels
from benchmark.preprocessing.windowing import grey
from benchmark.report.slices.gallery import gallery, webp
from benchmark.report.slices.stored_masks import StoredMasks
from benchmark.runs import run_folder
from benchmark.runs.collect import collect
from benchmark.runs.run_folder import PREDICTIONS, RESULT

SLICES, OTHERS = squares(), squares(6, first=50)
SPLIT = halves(SLICES)  # tests slices 1 to 4
PIXEL_MM2 = 0.49 * 0.49


def gallery_of(
    root: Path, slices: SliceSet = SLICES, order: Sequence[Panel] | None = None
) -> dict[str, Any]:
    """Of plain JSON types, its numbers finite."""
    collected = collect(root)
    masks = StoredMasks(root, slices, collected.scores)
    shown = gallery(collected, masks, panels(collected) if order is None else order)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    return shown


def test_outlines_are_those_stored_of_the_slices_that_were_tested(tmp_path: Path) -> None:
    """Eight of ten rows of a 10 x 10 square found: Dice 2*80 / (80 + 100)."""
    run_id = write_run(tmp_path, SLICES, SPLIT, rows=8).run_id
    shown = gallery_of(tmp_path)
    assert (shown["height"], shown["width"]) == (64, 64)
    assert list(shown["outlines"][run_id]) == list(shown["slices"]) == ["1", "2", "3", "4"]
    predicted = {"d": "M20 6h10v8h-10z", "dice": 0.8889, "mm2": round(80 * PIXEL_MM2, 1)}
    assert shown["outlines"][run_id]["2"] == predicted
    assert shown["slices"]["2"]["truth"] == "M20 6h10v10h-10z"
    assert shown["slices"]["2"]["mm2"] == round(100 * PIXEL_MM2, 1)


def test_a_missed_tumour_has_no_outline(tmp_path: Path) -> None:
    folder = write_run(tmp_path, SLICES, SPLIT, rows=0)
    missed = {"d": "", "dice": 0.0, "mm2": 0.0}
    assert gallery_of(tmp_path)["outlines"][folder.run_id]["1"] == missed


def test_a_run_is_named_by_arm_terms_split_and_seed(tmp_path: Path) -> None:
    """An arm without chance has no seed, and a click is said."""
    folder = write_run(tmp_path, SLICES, SPLIT, seed=3)
    write_run(tmp_path, SLICES, SPLIT, arm="click-region-growing", params={}, seed=None, click=True)
    run, click = gallery_of(tmp_path)["runs"]
    assert run.pop("terms").startswith("protocol thesis, ")
    assert run == {"id": folder.run_id, "arm": "unet 5x5, alpha 0.5", "form": "512x512 fp32",
                   "split": "by-image-1", "seed": 3, "click": False}  # fmt: skip
    assert (click["arm"], click["seed"], click["click"]) == ("click-region-growing", None, True)


def test_without_a_run_nothing_is_shown(tmp_path: Path) -> None:
    shown = gallery_of(tmp_path)
    assert (shown["slices"], shown["runs"], shown["outlines"]) == ({}, [], {})


def test_patients_are_the_slices_own(tmp_path: Path) -> None:
    write_run(tmp_path, SLICES, SPLIT)
    assert gallery_of(tmp_path)["slices"]["3"]["patient"] == "100361"
    unknown = replace(SLICES, patient_id=(None,) * len(SLICES))
    assert gallery_of(tmp_path, unknown)["slices"]["3"]["patient"] is None


def test_runs_of_other_slices_are_left_out_and_named_once(tmp_path: Path) -> None:
    """Their panels add no run."""
    own = write_run(tmp_path, SLICES, SPLIT)
    other = write_run(tmp_path, OTHERS, halves(OTHERS))
    shown = gallery_of(tmp_path)
    assert [run["id"] for run in shown["runs"]] == list(shown["outlines"]) == [own.run_id]
    assert shown["left_out"] == [{"id": other.run_id, "why": "of other slices"}]


@pytest.mark.parametrize(
    ("rows", "without", "rehashed", "why"),
    [
        (None, None, False, "is not the file that result.json has the hash of"),
        (9, None, False, "is not the file that result.json has the hash of"),
        (9, None, True, "slice 1 is not the one that was scored; rescore"),
        (8, 3, True, "slice 3 is not the one that was scored; rescore"),
    ],
    ids=["lost", "changed", "of another run", "one mask less"],
)
def test_a_run_whose_predictions_cannot_be_trusted_is_left_out_alone(
    tmp_path: Path, rows: int | None, without: int | None, rehashed: bool, why: str
) -> None:
    """A Dice never stands beside another mask than its own; the page says why."""
    folder, other = write_run(tmp_path, SLICES, SPLIT), write_run(tmp_path, SLICES, SPLIT, seed=2)
    (folder / PREDICTIONS).unlink()
    if rows is not None:
        masks = rows_found(SLICES, SPLIT, rows)
        masks.pop(without or 0, None)
        (folder / PREDICTIONS).write_bytes(run_folder.pack_masks(masks))
    if rehashed:
        result = run_folder.read_json(folder / RESULT)
        result["sha256"][PREDICTIONS] = run_folder.file_sha256(folder / PREDICTIONS)
        run_folder.write_json(folder / RESULT, result)
    shown = gallery_of(tmp_path)
    assert [run["id"] for run in shown["runs"]] == list(shown["outlines"]) == [other.run_id]
    ((name, reason),) = (row.values() for row in shown["left_out"])
    assert name == folder.run_id
    assert why in reason
    assert str(tmp_path) not in reason


def test_it_opens_on_the_reference_cell_under_the_first_terms_given(tmp_path: Path) -> None:
    """The page shows the first run of the first arm: the thesis's best cell."""
    runs = {}
    for side, kernel in product((512, 256), (3, 5)):
        own = {"shape": (side, side), "params": {"alpha": 0.5, "kernel_size": kernel}}
        runs[side, kernel] = write_run(tmp_path, SLICES, SPLIT, **own).run_id
    order = panels(collect(tmp_path))
    for fine in (True, False):
        order.sort(key=lambda panel: panel.runs["height"].iloc[0], reverse=fine)
        sizes = (512, 256) if fine else (256, 512)
        expected = [runs[size, kernel] for kernel in (5, 3) for size in sizes]
        shown = gallery_of(tmp_path, order=order)
        assert [run["id"] for run in shown["runs"]] == expected


@pytest.mark.parametrize(
    ("shape", "size"), [((64, 64), (64, 64)), ((512, 512), (256, 256)), ((512, 384), (192, 256))]
)
def test_pictures_have_at_most_256_pixels_a_side(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    """size is width, height."""
    image = np.arange(shape[0] * shape[1]).reshape(shape).astype(np.uint16)
    with Image.open(io.BytesIO(webp(image))) as picture:
        assert (picture.format, picture.size) == ("WEBP", size)


def test_a_picture_shows_its_slice(tmp_path: Path) -> None:
    """The tumour of a square slice is its only bright part; phantoms are shown too."""
    phantoms = replace(SLICES, phantom=True)
    write_run(tmp_path, phantoms, SPLIT)
    shown = gallery_of(tmp_path, phantoms)
    assert [run["terms"] for run in shown["runs"]] == ["protocol thesis, phantoms"]
    head, content = shown["slices"]["1"]["image"].split(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert pixels[8:12, 23:27].min() > 200
    assert pixels[40:, 40:].max() < 50


def test_the_window_cuts_half_a_percent_at_either_end() -> None:
    """Levels 0 to 999 once each: percentile 0.5 is 4.995, 99.5 is 994.005."""
    shown = grey(np.arange(1000, dtype=np.int16).reshape(20, 50)).ravel()
    assert (shown[:5].max(), shown[995:].min()) == (0, 255)
    assert shown[500] == round((500 - 4.995) / (994.005 - 4.995) * 255)
    assert (np.diff(shown.astype(int)) >= 0).all()


def test_a_slice_with_one_bright_pixel_shows_it() -> None:
    image = np.zeros((64, 64), dtype=np.uint8)
    image[3, 4] = 9
    assert grey(image)[3, 4] == 255
    assert np.count_nonzero(grey(image)) == 1
