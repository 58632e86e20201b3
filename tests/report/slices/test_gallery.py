"""What the gallery shows is what the runs stored: every outline, Dice and area, over the slices
that were tested.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from run_records import halves, rows_found, squares, write_run

from benchmark.data.slices import SliceSet
from benchmark.judge.cells import panels
from benchmark.preprocessing.windowing import grey
from benchmark.report.slices.gallery import gallery, webp
from benchmark.runs import run_folder
from benchmark.runs.collect import collect
from benchmark.runs.run_folder import RunFolder

SLICES = squares()
SPLIT = halves(SLICES)  # tests slices 1 to 4
PIXEL_MM2 = 0.49 * 0.49


def gallery_of(root: Path, slices: SliceSet = SLICES) -> dict[str, Any]:
    found = gallery(collect(root), root, slices)
    assert (
        json.loads(json.dumps(found, allow_nan=False)) == found
    )  # plain JSON types, numbers finite
    return found


def overwrite(folder: RunFolder, content: bytes) -> None:
    """Other predictions, with their hash put right."""
    (folder / run_folder.PREDICTIONS).write_bytes(content)
    result = run_folder.read_json(folder / run_folder.RESULT)
    result["sha256"][run_folder.PREDICTIONS] = run_folder.file_sha256(
        folder / run_folder.PREDICTIONS
    )
    run_folder.write_json(folder / run_folder.RESULT, result)


def test_outlines_are_those_stored(tmp_path: Path) -> None:
    """Eight of ten rows of a 10 x 10 square found: Dice 2*80 / (80 + 100)."""
    folder = write_run(tmp_path, SLICES, SPLIT, rows=8)
    found = gallery_of(tmp_path)
    assert (found["height"], found["width"]) == (64, 64)
    assert list(found["outlines"][folder.run_id]) == ["1", "2", "3", "4"]
    second = found["outlines"][folder.run_id]["2"]
    assert second == {"d": "M20 6h10v8h-10z", "dice": 0.8889, "mm2": round(80 * PIXEL_MM2, 1)}
    assert found["slices"]["2"]["truth"] == "M20 6h10v10h-10z"
    assert found["slices"]["2"]["mm2"] == round(100 * PIXEL_MM2, 1)


def test_a_missed_tumour_has_no_outline(tmp_path: Path) -> None:
    folder = write_run(tmp_path, SLICES, SPLIT, rows=0)
    assert gallery_of(tmp_path)["outlines"][folder.run_id]["1"] == {
        "d": "",
        "dice": 0.0,
        "mm2": 0.0,
    }


def test_a_run_is_told_by_arm_terms_split_and_seed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, SLICES, SPLIT, seed=3)
    (run,) = gallery_of(tmp_path)["runs"]
    assert run.pop("terms").startswith("protocol thesis, ")
    assert run == {
        "id": folder.run_id,
        "arm": "unet 5x5, alpha 0.5",
        "form": "512x512 fp32",
        "split": "by-image-1",
        "seed": 3,
        "click": False,
    }


def test_an_arm_without_chance_has_no_seed_and_a_click_is_told(tmp_path: Path) -> None:
    write_run(tmp_path, SLICES, SPLIT, arm="click-region-growing", params={}, seed=None, click=True)
    (run,) = gallery_of(tmp_path)["runs"]
    assert (run["arm"], run["seed"], run["click"]) == ("click-region-growing", None, True)


def test_slices_that_no_run_tested_are_not_shown(tmp_path: Path) -> None:
    write_run(tmp_path, SLICES, SPLIT)
    assert list(gallery_of(tmp_path)["slices"]) == ["1", "2", "3", "4"]


def test_without_a_run_nothing_is_shown(tmp_path: Path) -> None:
    found = gallery_of(tmp_path)
    assert (found["slices"], found["runs"], found["outlines"]) == ({}, [], {})


def test_patients_are_the_slices_own(tmp_path: Path) -> None:
    write_run(tmp_path, SLICES, SPLIT)
    assert gallery_of(tmp_path)["slices"]["3"]["patient"] == "100361"
    unknown = replace(SLICES, patient_id=(None,) * len(SLICES))
    assert gallery_of(tmp_path, unknown)["slices"]["3"]["patient"] is None


def test_runs_of_other_slices_are_left_out_and_named(tmp_path: Path) -> None:
    """ "dataset_id of run must equal slices.dataset_id"."""
    others = squares(6, first=50)
    own = write_run(tmp_path, SLICES, SPLIT)
    other = write_run(tmp_path, others, halves(others))
    found = gallery_of(tmp_path)
    assert [run["id"] for run in found["runs"]] == [own.run_id]
    assert found["left_out"] == [{"id": other.run_id, "why": "of other slices"}]
    assert list(found["outlines"]) == [own.run_id]


def masks_of_another_run(folder: RunFolder) -> None:
    overwrite(folder, run_folder.pack_masks(rows_found(SLICES, SPLIT, 9)))


def one_mask_less(folder: RunFolder) -> None:
    masks = rows_found(SLICES, SPLIT, 8)
    del masks[3]
    overwrite(folder, run_folder.pack_masks(masks))


def changed(folder: RunFolder) -> None:
    (folder / run_folder.PREDICTIONS).write_bytes(
        run_folder.pack_masks(rows_found(SLICES, SPLIT, 9))
    )


def lost(folder: RunFolder) -> None:
    (folder / run_folder.PREDICTIONS).unlink()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lost, "is not the file that result.json has the hash of"),
        (changed, "is not the file that result.json has the hash of"),
        (masks_of_another_run, "slice 1 is not the one that was scored; rescore"),
        (one_mask_less, "slice 3 is not the one that was scored; rescore"),
    ],
)
def test_a_run_whose_predictions_cannot_be_trusted_is_left_out_alone(
    tmp_path: Path, damage: Callable[[RunFolder], None], why: str
) -> None:
    """A Dice never stands beside another mask than its own; the other runs are shown, and the page
    says why.
    """
    folder, other = write_run(tmp_path, SLICES, SPLIT), write_run(tmp_path, SLICES, SPLIT, seed=2)
    damage(folder)
    found = gallery_of(tmp_path)
    assert [run["id"] for run in found["runs"]] == list(found["outlines"]) == [other.run_id]
    ((name, reason),) = (one.values() for one in found["left_out"])
    assert name == folder.run_id
    assert why in reason
    assert str(tmp_path) not in reason


def cell(kernel: int, alpha: float = 0.5) -> dict[str, float]:
    return {"alpha": alpha, "kernel_size": kernel}


def test_it_opens_on_the_reference_cell_under_the_first_terms_given(tmp_path: Path) -> None:
    """The page shows the first run of the first arm: that of the thesis's best cell, under the
    first of its terms.
    """
    runs = {
        (shape, kernel): write_run(
            tmp_path, SLICES, SPLIT, shape=(shape, shape), params=cell(kernel)
        ).run_id
        for shape in (512, 256)
        for kernel in (3, 5)
    }
    collected = collect(tmp_path)
    coarse_first = sorted(panels(collected), key=lambda panel: panel.runs["height"].iloc[0])
    order = [(256, 5), (512, 5), (256, 3), (512, 3)]
    given = gallery(collected, tmp_path, SLICES, coarse_first)
    assert [run["id"] for run in given["runs"]] == [runs[one] for one in order]
    expected = [runs[512 if size == 256 else 256, kernel] for size, kernel in order]
    assert [run["id"] for run in gallery_of(tmp_path)["runs"]] == expected


def test_panels_of_other_slices_add_no_run(tmp_path: Path) -> None:
    others = squares(6, first=50)
    own = write_run(tmp_path, SLICES, SPLIT)
    other = write_run(tmp_path, others, halves(others))
    collected = collect(tmp_path)
    found = gallery(collected, tmp_path, SLICES, panels(collected))
    assert [run["id"] for run in found["runs"]] == [own.run_id]
    assert [run["id"] for run in found["left_out"]] == [other.run_id]  # once


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
    """The tumour of a square slice is its only bright part."""
    write_run(tmp_path, SLICES, SPLIT)
    head, content = gallery_of(tmp_path)["slices"]["1"]["image"].split(",")
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


def test_phantoms_are_shown_too(tmp_path: Path) -> None:
    drawn = replace(SLICES, phantom=True)
    write_run(tmp_path, drawn, SPLIT)
    (run,) = gallery_of(tmp_path, drawn)["runs"]
    assert run["terms"] == "protocol thesis, phantoms"
