"""Other slices outlined by a trained model: the run's own masks, every orientation, refusals."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from bench_forms import small_recipe, spec_of
from data_forms import one_line, snapshot
from hypothesis import given
from hypothesis import strategies as st
from model_forms import SQUARE, Spy, drawn, model_around, png
from numpy.typing import NDArray
from PIL import Image
from strategies import costly, law

from baselines import ARMS
from benchmark.__main__ import VERBS, main
from benchmark.arm import FloatImages
from benchmark.data import nifti
from benchmark.data.guard import decoding
from benchmark.data.slices import SliceSet
from benchmark.errors import BenchmarkError, DataError
from benchmark.inference.input_files import find, passed_over
from benchmark.inference.outline import frame, outline, warning
from benchmark.inference.predict import measured, predict, report
from benchmark.inference.slice_image import VERMILLION, overlay, read
from benchmark.inference.trained_model import TrainedModel, load
from benchmark.protocol import Recipe
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunState, unpack_masks
from benchmark.runs.runner import RunOptions, run_grid
from benchmark.splits.split import make

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
Folders = pytest.TempPathFactory
AXIAL = np.diag([-SQUARE, -SQUARE, 6, 1])


@dataclass(frozen=True)
class Trained:
    """A run with its model, the images of its test slices and the masks it stored, by number."""

    root: Path
    run_id: str
    images: dict[int, NDArray[Any]]
    masks: dict[int, NDArray[np.bool_]]

    @property
    def model(self) -> TrainedModel:
        return load(self.root, self.run_id, ARMS, "cpu")


Train = Callable[..., Trained]


@pytest.fixture(scope="module")
def train(tmp_path_factory: Folders, slices: SliceSet, recipe: Recipe) -> Train:
    out = tmp_path_factory.mktemp("runs")
    split = make(slices, recipe.split, 1)
    images = dict(zip(slices.slice_id.tolist(), slices.images, strict=True))
    data = PreparedData(slices, {split.split_id: split}, ARMS)

    def trained(arm: str, shape: tuple[int, int] = (64, 64), precision: str = "fp32") -> Trained:
        own = recipe if precision == "fp32" else small_recipe(training__precision=precision)
        spec = spec_of(arm, ARMS[arm], slices, split, own, shape=shape)
        states = run_grid([spec], data, RunOptions(out, keep_models=True))
        assert states == {spec.run_id: RunState.DONE}
        masks = unpack_masks(out / spec.run_id / "predictions.zip")
        return Trained(out, spec.run_id, {number: images[number] for number in masks}, masks)

    return trained


@pytest.fixture(scope="module")
def unet(train: Train) -> Trained:
    return train("unet")


@pytest.fixture(scope="module")
def model(unet: Trained) -> TrainedModel:
    return unet.model


@pytest.fixture(scope="module")
def image(unet: Trained) -> NDArray[Any]:
    return next(iter(unet.images.values()))


def predicted(folder: Path, *paths: Path, arm: Any = None, **more: Any) -> pd.DataFrame:
    """The table of these slices outlined into folder/out; arm: a `Spy` unless given."""
    spacing_mm, overwrite = more.pop("spacing_mm", None), more.pop("overwrite", False)
    model = model_around(arm or Spy(**more))
    return predict([model], list(paths), folder / "out", spacing_mm, overwrite=overwrite)


def volume(path: Path, array: NDArray[Any], affine: NDArray[Any] = AXIAL, **header: Any) -> Path:
    """A NIfTI file of an array as it is."""
    image = nibabel.Nifti1Image(array, affine)
    for name, value in header.items():
        image.header[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    data = image.to_bytes()
    path.write_bytes(data if path.suffix == ".nii" else gzip.compress(data))
    return path


def patched(path: Path, offset: int, value: NDArray[Any]) -> None:
    """A NIfTI file with other bytes in its header: 252 qform_code, sform_code; 312 srow_z."""
    data = bytearray(volume(path, drawn()[:, :, None]).read_bytes())
    data[offset : offset + value.nbytes] = value.tobytes()
    path.write_bytes(data)


def mask_of(path: Path) -> NDArray[np.bool_]:
    """The mask in a file, as that file lays it out."""
    png_file = path.suffix == ".png"
    stored = np.asarray(Image.open(path) if png_file else nibabel.load(path).dataobj)
    assert stored.dtype == np.uint8
    assert set(np.unique(stored)) <= {0, 255 if png_file else 1}
    return stored > 0


@pytest.mark.parametrize(
    ("arm", "side", "precision"),
    [("unet", 64, "fp32"), ("unet", 64, "bf16"), ("unet", 96, "fp32"), ("threshold", 64, "fp32")],
)
def test_a_slice_of_the_run_gets_the_mask_that_the_run_stored(
    train: Train, slices: SliceSet, tmp_path: Path, arm: str, side: int, precision: str
) -> None:
    """Bit for bit, from PNG and from NIfTI, whatever size the arm was fed and its precision."""
    trained = train(arm, (side, side), precision)
    for number, image in trained.images.items():
        png(tmp_path / "in" / f"p{number}.png", image)
        (tmp_path / "in" / f"n{number}.nii.gz").write_bytes(nifti.encode(image, slices.spacing_mm))
    predict([trained.model], find([tmp_path / "in"]), tmp_path / "out", None)
    for number, mask in trained.masks.items():
        picture, volumes = (tmp_path / "out" / f"{kind}{number}_mask" for kind in "pn")
        np.testing.assert_array_equal(mask_of(picture.with_suffix(".png")), mask)
        np.testing.assert_array_equal(mask_of(volumes.with_suffix(".nii.gz"))[:, :, 0].T, mask)
    assert any(mask.any() for mask in trained.masks.values())


DISPLAYS = {  # plane: where columns, rows and the axis across lead to (right, front, up)
    "axial": [(-1, 0, 0), (0, -1, 0), (0, 0, 1)],
    "coronal": [(-1, 0, 0), (0, 0, -1), (0, 1, 0)],
    "sagittal": [(0, -1, 0), (0, 0, -1), (1, 0, 0)],
}


@given(
    plane=st.sampled_from(sorted(DISPLAYS)),
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    pixel_mm=st.tuples(st.sampled_from([0.5, 0.49]), st.sampled_from([0.5, 0.49]), st.just(6.0)),
    tilt=st.floats(-0.3, 0.3),
)
@costly
def test_a_mask_does_not_depend_on_how_a_file_lays_out_its_axes(
    tmp_path_factory: Folders, model: TrainedModel, image: NDArray[Any], plane: str,
    order: list[int], flips: tuple[bool, ...], pixel_mm: tuple[float, float, float], tilt: float,
) -> None:  # fmt: skip
    """Law: flipped, permuted and oblique files of one slice get one mask, on their own grid.

    The oracle turns arrays and affines by hand: voxel v of the turned file is voxel M v of the
    displayed one.
    """
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ (np.array(DISPLAYS[plane], dtype=float).T * pixel_mm)
    affine[:3, 3] = (10, -20, 30)
    upright = image.T[:, :, None]
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, old in enumerate(order):
        step[old, new] = -1 if flips[new] else 1
        step[old, 3] += upright.shape[old] - 1 if flips[new] else 0

    def laid_out(array: NDArray[Any]) -> NDArray[Any]:
        return np.flip(array.transpose(order), [i for i in range(3) if flips[i]])

    out = tmp_path_factory.mktemp("turned")
    path = volume(out / "a.nii", laid_out(upright), affine @ step)
    (row,) = predict([model], [path], out, None).to_dict("records")
    mask = outline(model, image, (pixel_mm[1], pixel_mm[0]))
    assert 0 < mask.sum() < mask.size
    written = nibabel.load(out / "a_mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), laid_out(mask.T[:, :, None]))
    np.testing.assert_allclose(written.affine, nibabel.load(path).affine)
    assert (row["row_spacing_mm"], row["column_spacing_mm"]) == (pixel_mm[1], pixel_mm[0])


@pytest.mark.parametrize(
    "shape", [(64, 64), (64, 64, 1), (64, 64, 1, 1), (1, 64, 64), (64, 1, 64, 1)]
)
def test_a_mask_has_the_grid_of_its_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Shape, affine and its codes, units and pixdim; uint8, without the image's window."""
    window = {"qform_code": 1, "sform_code": 4, "cal_max": 200, "xyzt_units": 2}
    path = volume(tmp_path / "a.nii", drawn().reshape(shape), **window)
    predicted(tmp_path, path)
    before, after = nibabel.load(path), nibabel.load(tmp_path / "out" / "a_mask.nii.gz")
    assert after.shape == shape
    np.testing.assert_array_equal(after.affine, before.affine)
    for name in ("qform_code", "sform_code", "pixdim", "xyzt_units", "dim"):
        np.testing.assert_array_equal(after.header[name], before.header[name])
    assert (after.get_data_dtype(), float(after.header["cal_max"])) == (np.uint8, 0.0)


@given(st.sampled_from([0.25, 3.0, 1e-20, 1e20]), st.sampled_from([-1.0, 0.0, 5.0]), st.booleans())
@law
def test_scaled_and_real_intensities_give_the_same_mask(
    tmp_path_factory: Folders, model: TrainedModel, image: NDArray[Any], gain: float, offset: float,
    scaled: bool,
) -> None:  # fmt: skip
    """Law: Nyul's scale does not see a positive affine change, by the header or in the values."""
    path = tmp_path_factory.mktemp("scaled") / "a.nii"
    upright = image.T[:, :, None]
    if scaled:
        volume(path, upright)
        data = bytearray(path.read_bytes())
        data[112:120] = np.array([gain, offset * gain], "<f4").tobytes()  # scl_slope and scl_inter
        path.write_bytes(data)
    else:
        volume(path, (upright * gain + offset * gain).astype(np.float64))
    given_image = read(path).image
    assert given_image.dtype == np.float64
    np.testing.assert_array_equal(outline(model, given_image, None), outline(model, image, None))


@pytest.mark.parametrize(
    "form",
    [
        *("uint16.png", "rgb.png", "float.tif", "lossless.webp", "palette.png", "alpha.png"),
        *("rgba.png", "cmyk.tif"),
    ],
)
def test_one_slice_in_any_picture_gives_one_mask(
    tmp_path: Path, model: TrainedModel, image: NDArray[Any], form: str
) -> None:
    kinds = {"uint16": np.uint16, "float": np.float32}
    modes = {"rgb.png": "RGB", "palette.png": "P", "alpha.png": "LA"}
    modes |= {"rgba.png": "RGBA", "cmyk.tif": "CMYK"}
    file = Image.fromarray(image.astype(kinds.get(form.split(".")[0], np.uint8)))
    file = file.convert(modes.get(form, file.mode))
    if form == "alpha.png":
        file.putalpha(Image.fromarray((image > 100).astype(np.uint8)))
    file.save(tmp_path / form, lossless=True)
    given_image = read(tmp_path / form).image
    np.testing.assert_array_equal(outline(model, given_image, None), outline(model, image, None))


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "framed"),
    [
        ((64, 64), None, (64, 64)),  # the run's own
        ((100, 50), None, (100, 100)),
        ((50, 100), (0.3, 0.3), (100, 100)),
        ((100, 50), (0.5, 1.0), (100, 50)),  # 50 x 50 mm
        ((100, 100), (0.5, 1.0), (200, 100)),  # 50 x 100 mm, filled up to 100 x 100 mm
        ((3, 2), (1.0, 1.0), (3, 3)),
    ],
)
def test_a_slice_is_framed_to_the_form_of_those_trained_on(
    shape: tuple[int, int], spacing_mm: tuple[float, float] | None, framed: tuple[int, int]
) -> None:
    assert frame(model_around(Spy()), shape, spacing_mm) == framed


@given(
    shape=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    spacing_mm=st.none() | st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
    own=st.tuples(st.sampled_from([64, 96, 512]), st.sampled_from([64, 96, 512])),
)
@law
def test_a_frame_holds_the_slice_and_has_the_form(
    shape: tuple[int, int], spacing_mm: tuple[float, float] | None, own: tuple[int, int]
) -> None:
    """Law: one side stays, the ratio in mm is the model's to half a pixel, framed stays framed."""
    model = model_around(Spy(), shape=own)
    height, width = frame(model, shape, spacing_mm)
    assert height >= shape[0]
    assert width >= shape[1]
    assert (height, width)[0] == shape[0] or (height, width)[1] == shape[1]
    row_mm, column_mm = spacing_mm or (SQUARE, SQUARE)
    high, wide = height * row_mm * own[1] / own[0], width * column_mm
    assert abs(high - wide) <= max(row_mm * own[1] / own[0], column_mm) * (0.5 + 1e-9)
    assert frame(model, own, None) == own


def test_filling_up_is_what_a_file_already_filled_up_would_give(
    model: TrainedModel, image: NDArray[Any]
) -> None:
    """48 rows of 64, in the middle of 64 filled up with the least value by hand."""
    part = image[8:56]
    filled = np.full_like(image, part.min())
    filled[8:56] = part
    np.testing.assert_array_equal(outline(model, part, None), outline(model, filled, None)[8:56])


def test_the_arm_is_fed_its_own_size_in_its_own_range() -> None:
    """Smaller slices are enlarged without blocks, larger ones averaged; then Nyul's scale."""
    spy = Spy()
    ramp = np.add.outer(np.zeros(32), np.arange(32)).astype(np.uint8)
    assert outline(model_around(spy), ramp, None).shape == (32, 32)
    outline(model_around(spy), np.kron(drawn(shape=(64, 64)), np.ones((2, 2), np.uint8)), None)
    outline(model_around(spy), drawn(shape=(64, 64)), None)
    small, large, own = spy.fed
    assert {images.shape for images in spy.fed} == {(1, 64, 64)}
    assert (small.min(), small.max()) == (-1, 1)
    assert (np.diff(small[0, 0])[1:-1] > 0).all()  # a ramp rises at every pixel, not every second
    np.testing.assert_allclose(large, own, atol=1e-5)  # each pixel fourfold is averaged back


def test_a_map_is_averaged_where_the_slice_is_smaller_than_what_the_arm_is_fed() -> None:
    """16 columns fed as 64, three of four marked: 0.75 everywhere; points would give 0.5."""

    class Striped(Spy):
        def predict(self, images: FloatImages) -> NDArray[np.float32]:
            return np.broadcast_to((np.arange(64) % 4 != 2).astype(np.float32), images.shape).copy()

    assert outline(model_around(Striped()), drawn(shape=(16, 16)), None).all()


def test_the_answer_for_a_slice_does_not_depend_on_the_others(
    unet: Trained, tmp_path: Path
) -> None:
    paths = [png(tmp_path / f"{number}.png", image) for number, image in unet.images.items()]
    predict([unet.model], paths, tmp_path / "all", None)
    predict([unet.model], paths[-1:], tmp_path / "one", None)
    name = f"{paths[-1].stem}_mask.png"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()


def test_measures_are_those_of_the_mask() -> None:
    """A row of 20 pixels of 2.0 x 0.5 mm: 20 mm2, 10 mm long, one pixel (2 mm) across."""
    mask = np.zeros((64, 64), dtype=bool)
    mask[30, 10:30] = True
    assert measured(mask, (2.0, 0.5)) == {
        "tumour_found": True, "row_spacing_mm": 2.0, "column_spacing_mm": 0.5,
        "area_mm2": 20.0, "longest_diameter_mm": 10.0, "perpendicular_mm": 2.0,
        "area_pixels": 20, "longest_diameter_pixels": 20.0, "perpendicular_pixels": 1.0,
    }  # fmt: skip


def in_mm(table: pd.DataFrame) -> list[str]:
    return [name for name in table if name.endswith(("_mm", "_mm2"))]


def test_without_a_spacing_there_are_pixels_only(tmp_path: Path) -> None:
    """Never guessed: not from the training slices, nor from a picture's dots per inch."""
    Image.fromarray(drawn()).save(tmp_path / "a.png", dpi=(72, 72))
    table = predicted(tmp_path, tmp_path / "a.png")
    assert "pixels" in report(table, [model_around(Spy())])
    assert "mm" not in report(table, [model_around(Spy())]).partition("This is")[0]
    table = pd.read_csv(tmp_path / "out" / "measures.csv")
    assert in_mm(table) == []
    assert [name for name in table if table[name].isna().any()] == ["note"]
    assert table["area_pixels"].tolist()[0] > 0


def test_where_some_slices_have_a_spacing_each_is_measured_by_what_is_known(tmp_path: Path) -> None:
    """The columns in mm stand where they stand when all are known, empty for the others."""
    sized = volume(tmp_path / "b.nii", drawn(1)[:, :, None])
    alone = predicted(tmp_path / "alone", sized)
    table = predicted(tmp_path, png(tmp_path / "a.png", drawn()), sized)
    assert table.columns.tolist() == alone.columns.tolist()
    for name in in_mm(table):
        assert table[name].isna().tolist() == [True, False]
    first, second = report(table, [model_around(Spy())]).splitlines()[2:4]
    assert (" pixels" in first, " mm" in first) == (True, False)
    assert (" pixels" in second, " mm" in second) == (False, True)


def test_that_no_pixel_size_is_known_is_told_before_any_work_with_the_cure(tmp_path: Path) -> None:
    """Once, in one line, of those alone that lack it; of many the first three are named."""
    spy, told = Spy(), []

    def say(text: str) -> None:
        told.append((len(spy.fed), text))

    paths = [png(tmp_path / f"{name}.png", drawn(i)) for i, name in enumerate("cdefg")]
    paths.insert(1, volume(tmp_path / "b.nii", drawn()[:, :, None]))
    predict([model_around(spy)], paths, tmp_path / "out", None, say=say)
    ((asked, note),) = told
    assert (asked, len(spy.fed)) == (0, 6)
    names = ", ".join(str(tmp_path / name) for name in ("c.png", "d.png", "e.png"))
    assert f"no pixel size is known of {names} and 2 more: " in note
    assert "give --spacing ROW COLUMN" in note
    assert "\n" not in note
    predict([model_around(spy)], paths, tmp_path / "o2", (SQUARE, SQUARE), say=say)
    predict([model_around(spy)], paths[1:2], tmp_path / "o3", None, say=say)
    assert len(told) == 1


def test_an_empty_mask_is_no_tumour(tmp_path: Path) -> None:
    paths = [png(tmp_path / "a.png", drawn()), volume(tmp_path / "b.nii", drawn()[:, :, None])]
    table = predicted(tmp_path, *paths, level=1.0)
    assert table["tumour_found"].tolist() == [False, False]
    for name in ("area_pixels", "longest_diameter_pixels", "perpendicular_pixels"):
        assert table[name].tolist() == [0, 0]
    assert table["area_mm2"].tolist()[1] == 0
    assert not mask_of(tmp_path / "out" / "a_mask.png").any()
    assert not mask_of(tmp_path / "out" / "b_mask.nii.gz").any()


@pytest.mark.parametrize(
    ("side_mm", "says"),
    [
        *((side, "") for side in (0.49, 0.49 * 1.19, 0.49 / 1.19, None)),
        (0.49 * 1.21, "shows 1.21 times the field of view"),
        (0.245, "shows 0.50 times the field of view"),
    ],
)
def test_another_field_of_view_is_doubted(side_mm: float | None, says: str) -> None:
    """From 20 % of the fed pixel on; half the pixels of half the size are no other view."""
    for side, finer in ((64, 1), (128, 2)):
        spacing_mm = (side_mm / finer, side_mm / finer) if side_mm else None
        text = warning(model_around(Spy()), (side, side), spacing_mm)
        assert text.startswith(says)
        assert bool(text) == bool(says)


def test_an_overlay_shows_the_slice_in_grey_and_the_border_in_colour() -> None:
    """A 4 x 4 mask has 12 border pixels; what is inside and outside stays grey."""
    image = np.add.outer(np.zeros(32), np.arange(32)).astype(np.uint8)
    mask = np.zeros((32, 32), dtype=bool)
    mask[10:14, 10:14] = True
    with Image.open(io.BytesIO(overlay(image, mask))) as shown:
        assert shown.mode == "RGB"
        pixels = np.asarray(shown)
    coloured = (pixels == VERMILLION).all(axis=2)
    expected = mask.copy()
    expected[11:13, 11:13] = False
    np.testing.assert_array_equal(coloured, expected)
    grey = pixels[~coloured]
    assert (grey == grey[:, :1]).all()
    assert (pixels[0, 0].tolist(), pixels[0, -1].tolist()) == ([0, 0, 0], [255, 255, 255])


def test_an_overlay_of_a_nearly_constant_slice_shows_what_differs() -> None:
    image = np.zeros((64, 64), dtype=np.uint8)
    image[5, 5] = 9
    with Image.open(io.BytesIO(overlay(image, np.zeros((64, 64), dtype=bool)))) as shown:
        assert np.asarray(shown)[5, 5].tolist() == [255, 255, 255]


def test_a_folder_gives_its_slices_by_name_without_what_was_made_of_them(tmp_path: Path) -> None:
    """Another's masks and overlays, without the slice beside them, are taken for slices."""
    made = ("b_mask.png", "b_overlay.png")
    for name in ("b.png", "a.nii.gz", *made, "c_mask.png", ".d.png", "A 1.TIF"):
        (tmp_path / name).touch()
    assert passed_over([tmp_path]) == ""
    (tmp_path / "notes.txt").touch()
    (tmp_path / "e.png").mkdir()
    names = [path.name for path in find([tmp_path])]
    assert names == ["A 1.TIF", "a.nii.gz", "b.png", "c_mask.png"]
    twice = find([tmp_path / "b.png", tmp_path])
    assert (twice[0].name, len(twice)) == ("b.png", 4)  # each once
    sentence = "Passed over: files of other kinds: 1, folders: 1."
    assert passed_over([tmp_path, tmp_path / "b.png"]) == sentence


def test_two_links_to_one_file_are_two_slices_and_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    png(tmp_path / "far" / "x.png", drawn())
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "far" / "x.png")
    assert [path.name for path in find([tmp_path / "in"])] == ["a.png", "b.png"]
    (tmp_path / "in" / "c.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"c\.png: is a link to nothing; mend or remove it"):
        predicted(tmp_path, *find([tmp_path / "in"]))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["a.png", "a.nii"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: is no regular file"):
        predicted(tmp_path, tmp_path / name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("\udcff.png", "udcff.png': its name is not UTF-8; rename it"),
        ("x" * 247 + ".png", "_mask.png would be longer than 255 bytes"),
        ("x" * 244 + ".png", "_overlay.png would be longer than 255 bytes"),
        ("ü" * 122 + ".png", "_overlay.png would be longer than 255 bytes"),
    ],
    ids=["not UTF-8", "mask", "overlay", "bytes"],
)
def test_a_name_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        predicted(tmp_path, tmp_path / name)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    predicted(tmp_path, png(tmp_path / f"{'x' * 243}.png", drawn()))
    assert max(len(path.name) for path in (tmp_path / "out").iterdir()) == 255


def refuse(
    model: TrainedModel, folder: Path, *words: str, spacing_mm: tuple[float, float] | None = None
) -> None:
    """Predicting the folder raises one DataError, of one line; no arm is asked, nothing changes."""
    spy, before = Spy(), snapshot(folder)
    with one_line(DataError, *words):
        predict([replace(model, arm=spy)], find([folder]), folder / "out", spacing_mm)
    assert spy.fed == []
    assert snapshot(folder) == before


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def colour(path: Path) -> None:
    png(path, np.stack([drawn(), drawn(1), drawn(2)], axis=2))


def unsized(path: Path) -> None:
    """A NIfTI file oriented by its qform alone, with a pixdim of 0: for NiBabel pixels of 1 mm."""
    patched(path, 252, np.array([1, 0], "<i2"))
    data = bytearray(path.read_bytes())
    data[80:88] = bytes(8)
    path.write_bytes(data)


def two_ways(path: Path) -> None:
    """A NIfTI file whose first axis runs to the right by its qform, to the left by its sform."""
    image = nibabel.Nifti1Image(drawn()[:, :, None], AXIAL)
    image.set_qform(np.diag([SQUARE, -SQUARE, 6, 1]), 1)
    path.write_bytes(image.to_bytes())


def packed_as(path: Path, form: Any, compressed: bool) -> None:
    data = form(drawn()[:, :, None], AXIAL).to_bytes()
    path.write_bytes(gzip.compress(data) if compressed else data)


SHEARED = AXIAL.copy()
SHEARED[:2, 1] = -SQUARE * np.sin(0.01), -SQUARE * np.cos(0.01)
TURNED = Image.Exif()
TURNED[274] = 6
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
FORM_1, FORM_2 = nibabel.Nifti1Image, nibabel.Nifti2Image
# fmt: off
BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "0 bytes": ("x.png", nothing, "cannot be read"),
    "0 bytes nii": ("x.nii", nothing, "cannot be read"),
    "0 bytes nii.gz": ("x.nii.gz", nothing, "cannot be read"),
    "colour": ("x.png", colour, "colour picture"),
    "constant": ("x.png", lambda p: png(p, np.full((64, 64), 7, np.uint8)), "every pixel is 7"),
    "constant nii": ("x.nii", lambda p: volume(p, np.ones((64, 64, 1))), "constant image"),
    "one row": ("x.png", lambda p: png(p, drawn(shape=(1, 64))), "two sides of two pixels or more"),
    "one line": ("x.nii", lambda p: volume(p, drawn(shape=(1, 64))), "two sides of two pixels or"),
    "beyond three": ("x.nii", lambda p: volume(p, drawn().reshape(1, 1, 64, 64)), "in three dim"),
    "volume": ("x.nii.gz", lambda p: volume(p, np.zeros((64, 64, 5), np.int16)),
               "shape (64, 64, 5); one file holds"),
    "large": ("x.nii.gz", lambda p: volume(p, np.zeros((256, 256, 300), np.int16)),
              "split a volume into slices"),
    "nan": ("x.nii", lambda p: volume(p, np.full((64, 64, 1), np.nan)), "4096 values are not fin"),
    "overflow": ("x.nii", lambda p: volume(p, np.where(drawn() > 127, 1.7e308, -1.7e308)),
                 "too far apart"),
    "complex": ("x.nii", lambda p: volume(p, drawn()[:, :, None].astype(np.complex64)),
                "holds complex64"),
    "rgb": ("x.nii", lambda p: volume(p, np.zeros((64, 64, 1), RGB)), "x.nii"),
    "unoriented": ("x.nii", lambda p: patched(p, 252, np.zeros(2, "<i2")), "tells no orientation"),
    "flat": ("x.nii", lambda p: patched(p, 312, np.zeros(4, "<f4")), "tells no orientation"),
    "metres": ("x.nii", lambda p: volume(p, drawn(), np.diag([5e-4, 5e-4, 6e-3, 1])),
               "must lie in (0.01, 100.0)"),
    "two sizes": ("x.nii", lambda p: volume(p, drawn(), pixdim=[1, 2, 2, 6, 0, 0, 0, 0]),
                  "by its pixdim"),
    "no pixel size": ("x.nii", unsized, "pixel size [0.0, 0.0] in its header; mend its pixdim"),
    "no number": ("x.nii", lambda p: patched(p, 80, np.array([np.nan], "<f4")), "size [nan, 0.49"),
    "microns": ("x.nii", lambda p: volume(p, drawn(), xyzt_units=3),
                "lengths in microns; convert its header to mm"),
    "in metres": ("x.nii", lambda p: volume(p, drawn(), xyzt_units=1), "lengths in metres"),
    "sheared": ("x.nii", lambda p: volume(p, drawn()[:, :, None], SHEARED), "not at right angles"),
    "two ways": ("x.nii", two_ways, "run to RPS by its qform, to LPS by its sform"),
    "nothing deep": ("x.nii", lambda p: patched(p, 46, np.zeros(1, "<i2")),
                     "shape (64, 64, 0); a slice has two sides"),
    "NIfTI-2": ("x.nii", lambda p: packed_as(p, FORM_2, False), "is NIfTI-2; save it as NIfTI-1"),
    "NIfTI-2 gz": ("x.nii.gz", lambda p: packed_as(p, FORM_2, True), "is NIfTI-2"),
    "gzip": ("x.nii", lambda p: packed_as(p, FORM_1, True), "is compressed; name it .nii.gz"),
    "no gzip": ("x.nii.gz", lambda p: packed_as(p, FORM_1, False), "not compressed; name it .nii"),
    "turned": ("x.png", lambda p: Image.fromarray(drawn()).save(p, exif=TURNED),
               "its orientation tag (6) turns it"),
    "turned tif": ("x.tif", lambda p: Image.fromarray(drawn()).save(p, tiffinfo={274: 3}),
                   "orientation tag (3)"),
    "negative": ("x.tif", lambda p: Image.fromarray(drawn().astype(np.uint16)).save(
        p, tiffinfo={262: 0}), "its least value is white"),
    "lossy": ("x.webp", lambda p: Image.fromarray(drawn()).save(p), "differ by up to"),
    "long": ("x.png", lambda p: png(p, drawn(shape=(2, 8000))), "has 8000x8000 pixels; crop it"),
}
# fmt: on


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_before_any_work(tmp_path: Path, case: str) -> None:
    name, write, words = BAD[case]
    png(tmp_path / "a.png", drawn())
    write(tmp_path / name)
    refuse(model_around(Spy()), tmp_path, name, words)


def test_contrast_that_is_lost_at_the_fed_size_is_named(tmp_path: Path) -> None:
    """One pixel of 2048 x 2048, 1 of 60000 brighter: at 64 x 64 less than float32 can hold."""
    array = np.full((2048, 2048), 60_000, np.uint16)
    array[5, 5] += 1
    with pytest.raises(DataError, match=r"a\.png: at 64x64 pixels: constant image"):
        predicted(tmp_path, png(tmp_path / "a.png", array))
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_with_a_header_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By our error, and by nothing that NiBabel logs."""
    unsized(tmp_path / "a.nii")
    with pytest.raises(DataError):
        read(tmp_path / "a.nii")
    patched(tmp_path / "a.nii", 80, np.array([-SQUARE], "<f4"))  # mended by NiBabel
    assert read(tmp_path / "a.nii").spacing_mm == (SQUARE, SQUARE)
    assert caplog.records == []


def test_a_file_that_may_not_be_read_is_not_called_damaged() -> None:
    says = r"a\.png: cannot be read .* check the path and your right to read it"
    with pytest.raises(DataError, match=says), decoding("a.png"):
        raise PermissionError(13, "Permission denied")


def test_an_8_bit_tiff_with_0_for_white_is_seen_as_it_is_displayed(tmp_path: Path) -> None:
    Image.fromarray(drawn()).save(tmp_path / "a.tif", tiffinfo={262: 0})  # as 255 less its levels
    assert (255 - drawn()).tobytes() in (tmp_path / "a.tif").read_bytes()
    np.testing.assert_array_equal(read(tmp_path / "a.tif").image, drawn())


def test_a_header_and_a_given_spacing_must_agree(tmp_path: Path) -> None:
    path = volume(tmp_path / "a.nii", drawn())
    words = ("a.nii", "header says (0.49, 0.49)", "(1.0, 1.0)")
    refuse(model_around(Spy()), tmp_path, *words, spacing_mm=(1.0, 1.0))
    table = predicted(tmp_path, path, spacing_mm=(0.490001, 0.49))  # printed with fewer digits
    assert table["row_spacing_mm"].tolist() == [0.49]


def test_a_given_spacing_measures_an_image_without_one(tmp_path: Path) -> None:
    table = predicted(tmp_path, png(tmp_path / "a.png", drawn()), spacing_mm=(0.5, 0.25))
    assert table["area_mm2"].tolist() == [round(0.125 * table["area_pixels"].tolist()[0], 4)]


@pytest.mark.parametrize("taken", ["measures.csv", "a_mask.png", "a_overlay.png"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    png(tmp_path / "a.png", drawn())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / taken).write_text("mine")
    words = f"{taken}: exists already and is left as it is; give another --out, or --overwrite"
    refuse(model_around(Spy()), tmp_path, words)


def test_asked_for_what_an_earlier_call_wrote_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """The same call with a spacing, as after the note that none was known."""
    path, out = png(tmp_path / "a.png", drawn()), tmp_path / "out"
    predicted(tmp_path, path, level=1.0)
    (out / "letter.txt").write_text("mine")
    empty = snapshot(out)
    predicted(tmp_path, path, spacing_mm=(0.5, 0.5), overwrite=True)
    assert mask_of(out / "a_mask.png").any()
    assert len(in_mm(pd.read_csv(out / "measures.csv"))) == 5
    after = snapshot(out)
    assert after.keys() == empty.keys()
    assert {name for name in after if after[name] == empty[name]} == {"letter.txt"}
    assert sorted(path.name for path in out.iterdir()) == sorted(after)  # nothing hidden


def test_an_overwriting_that_is_stopped_leaves_the_earlier_files(tmp_path: Path) -> None:
    class Tired(Spy):
        def predict(self, images: FloatImages) -> NDArray[np.float32]:
            raise KeyboardInterrupt

    path = png(tmp_path / "a.png", drawn())
    predicted(tmp_path, path)
    before = sorted(tmp_path.rglob("*")), snapshot(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        predicted(tmp_path, path, arm=Tired(), spacing_mm=(0.5, 0.5), overwrite=True)
    assert (sorted(tmp_path.rglob("*")), snapshot(tmp_path)) == before


@pytest.mark.parametrize("taken", ["a folder", "a slice", "a link to a slice"])
def test_neither_a_folder_nor_a_slice_that_is_read_is_overwritten(
    tmp_path: Path, taken: str
) -> None:
    """a_mask.png, which a mask would replace, is itself one of the slices given."""
    paths, place = [png(tmp_path / "a.png", drawn())], tmp_path / "a_mask.png"
    if taken == "a folder":
        png(place / "mine.png", drawn())
    elif taken == "a slice":
        paths.append(png(place, drawn(1)))
    else:
        place.symlink_to(paths[0])
    before, spy = snapshot(tmp_path), Spy()
    with one_line(DataError, f"{place}: is", "not overwritten; give another --out"):
        predict([model_around(spy)], paths, tmp_path, None, overwrite=True)
    assert (snapshot(tmp_path), spy.fed) == (before, [])


@pytest.mark.parametrize(
    ("one", "other"), [("a.png", "a.tif"), ("a.nii", "a.nii.gz"), ("a.png", "A.webp")]
)
def test_two_slices_of_one_name_are_refused(tmp_path: Path, one: str, other: str) -> None:
    """Their masks or overlays would have one name, on some file systems at least."""
    for name in (one, other):
        (tmp_path / name).touch()
    refuse(model_around(Spy()), tmp_path, one, other, "would be written to one name")


@pytest.mark.parametrize("there", [False, True])
def test_an_arm_that_fails_half_way_leaves_things_as_they_were(tmp_path: Path, there: bool) -> None:
    class Tired(Spy):
        def predict(self, images: FloatImages) -> NDArray[np.float32]:
            if self.fed:
                raise KeyboardInterrupt
            return super().predict(images)

    paths = [png(tmp_path / f"{name}.png", drawn(i)) for i, name in enumerate("ab")]
    if there:
        (tmp_path / "out").mkdir()
    before = list(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        predicted(tmp_path, *paths, arm=Tired())
    assert list(tmp_path.rglob("*")) == before
    predicted(tmp_path, *paths)
    assert len(list((tmp_path / "out").iterdir())) == 5


@pytest.mark.parametrize("taken", ["measures.csv", "a_mask.png", "a_overlay.png"])
def test_what_appears_during_the_work_is_not_overwritten(tmp_path: Path, taken: str) -> None:
    """And nothing else is left beside it."""

    class Slow(Spy):
        def predict(self, images: FloatImages) -> NDArray[np.float32]:
            (tmp_path / "out" / taken).write_text("mine")
            return super().predict(images)

    with pytest.raises(DataError, match=f"{taken}: exists already and is left as it is"):
        predicted(tmp_path, png(tmp_path / "a.png", drawn()), arm=Slow())
    assert [path.name for path in (tmp_path / "out").iterdir()] == [taken]
    assert (tmp_path / "out" / taken).read_text() == "mine"


def test_of_two_calls_at_once_one_writes_all_and_the_other_nothing(tmp_path: Path) -> None:
    """The second begins and ends while the first works: each was free to write when checked."""
    paths = [png(tmp_path / f"{name}.png", drawn(i)) for i, name in enumerate("ab")]

    class Overtaken(Spy):
        def predict(self, images: FloatImages) -> NDArray[np.float32]:
            predicted(tmp_path, *paths[1:])
            return super().predict(images)

    with pytest.raises(DataError, match=r"measures\.csv: exists already"):
        predicted(tmp_path, *paths[:1], arm=Overtaken())
    assert pd.read_csv(tmp_path / "out" / "measures.csv")["file"].tolist() == [str(paths[1])]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"b_mask.png", "b_overlay.png", "measures.csv"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "trained on 100 2D slices of 9 patients that show"),
        ({"patients": 0}, "trained on 100 2D slices that show"),
        ({"phantom": True}, "trained on 100 drawn phantoms that show"),
    ],
)
def test_the_warning_says_what_the_model_was_trained_on(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    model = replace(model_around(Spy()), **change)
    table = predict([model], [png(tmp_path / "a.png", drawn())], tmp_path / "out", None)
    assert f"The model was {words} outlined tumours." in report(table, [model])


@pytest.mark.parametrize(
    ("verb", "words"),
    [("predict", "give it again"), ("reproduce", "the same command skips what is done")],
)
def test_a_call_that_is_stopped_promises_no_more_than_it_keeps(
    monkeypatch: Patch, capsys: Capture, verb: str, words: str
) -> None:
    def stopped(*words: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(VERBS, verb, stopped)
    assert main([verb, *(["x.png", "--run", "x"] if verb == "predict" else [])]) == 130
    assert capsys.readouterr().err.startswith(f"\nstopped; {words}")


def test_the_word_is_carried_out_and_warns(unet: Trained, tmp_path: Path, capsys: Capture) -> None:
    """Masks, overlays and the table; the same table on stdout, and that it is no medical device."""
    image, mask = next(iter(unet.images.values())), next(iter(unet.masks.values()))
    path = png(tmp_path / "in" / "head.png", image)
    (path.parent / "notes.txt").touch()
    run = ["--run", unet.run_id, "--runs", str(unet.root), "--device", "cpu"]
    words = ["predict", str(path.parent), *run]
    assert main([*words, "--out", str(tmp_path / "out"), "--spacing", "3.92", "3.92"]) == 0
    output = capsys.readouterr().out
    assert "Passed over: files of other kinds: 1, folders: 0.\n" in output
    assert "research tool and no medical device" in output
    assert f"trained on {unet.model.slices} drawn phantoms" in output
    assert f"{mask.sum() * 3.92**2:.0f} mm2" in output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"head_mask.png", "head_overlay.png", "measures.csv"}
    (row,) = pd.read_csv(tmp_path / "out" / "measures.csv").to_dict("records")
    assert (row["file"], row["run_id"], row["area_pixels"]) == (str(path), unet.run_id, mask.sum())
    np.testing.assert_array_equal(mask_of(tmp_path / "out" / "head_mask.png"), mask)


@pytest.mark.parametrize(
    "named", ["{runs}/{run}", "{runs}/{run}/", "{runs}/{run}/model.pt", ".", "best", "{run}"]
)
def test_a_run_is_named_by_its_folder_too(
    unet: Trained, tmp_path: Path, monkeypatch: Patch, capsys: Capture, named: str
) -> None:
    """By its path, from within, by a link, or beside; --runs, here wrong, is not needed then."""
    path = png(tmp_path / "a.png", drawn())
    (tmp_path / "best").symlink_to(unet.root / unet.run_id)
    places = {".": unet.root / unet.run_id, "{run}": unet.root}
    monkeypatch.chdir(places.get(named, tmp_path))
    run = named.format(runs=unet.root, run=unet.run_id)
    words = ["--run", run, "--runs", "no-such", "--device=cpu", "--out", str(tmp_path / "out")]
    assert main(["predict", str(path), *words]) == 0
    (row,) = pd.read_csv(tmp_path / "out" / "measures.csv").to_dict("records")
    assert row["run_id"] == unet.run_id


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("{runs}/unett", "{runs} has no such run; with a model: "),
        ("{runs}/{run}x", "{runs} has no such run; the nearest is {run}; with a model: "),
        ("{run}x", "{runs} has no such run; the nearest is {run}; with a model: "),
        ("{runs}", "is a folder of runs; name one in it; with a model: "),
        ("no/such", "there is no such folder; "),
        ("empty", "{runs} has no such run; "),
        ("", "is a folder of runs; name one in it; "),
    ],
)
def test_a_wrong_run_is_one_line_with_the_nearest(
    unet: Trained, tmp_path: Path, monkeypatch: Patch, capsys: Capture, named: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    png(tmp_path / "a.png", drawn())
    run, said = (text.format(runs=unet.root, run=unet.run_id) for text in (named, says))
    assert main(["predict", "a.png", "--run", run, "--runs", str(unet.root)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --run {run}: {said}")
    assert err.count("\n") == 1
    assert not (tmp_path / "predictions").exists()


def test_after_the_note_the_same_words_with_a_spacing_work_when_asked_to_overwrite(
    unet: Trained, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    png(tmp_path / "a.png", drawn())
    words = ["predict", "a.png", "--run", unet.run_id, "--runs", str(unet.root), "--device=cpu"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("Note: no pixel size is known of a.png: ")
    words += ["--spacing", "3.92", "3.92"]
    assert main(words) == 2
    says = "error: predictions/measures.csv: exists already and is left as it is; "
    assert capsys.readouterr().err.startswith(f"{says}give another --out, or --overwrite")
    assert main([*words, "--overwrite"]) == 0
    assert "Note" not in capsys.readouterr().out
    assert len(in_mm(pd.read_csv("predictions/measures.csv"))) == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("a.png --out a.png", "error: a.png: cannot be written (File exists)"),
        ("a.png --out a.png/o", "error: a.png/o: cannot be written (Not a directory)"),
        ("no/such.png", "no/such.png: not there"),
        ("empty", "empty: no slice in it; looked for"),
        ("a.jpg", "a.jpg: must end in"),
        ("a.png --runs no/such", "--runs no/such: there is no such folder"),
        ("a.png --run unett", "has no such run"),
        ("a.png --spacing 0 1", "must be two numbers from 0.01 to 100"),
        ("a.png --spacing nan 1", "must be two numbers from 0.01 to 100"),
        ("a.png --device abacus", "--device abacus: must be auto, cpu"),
    ],
)
def test_bad_words_are_one_line(
    unet: Trained, tmp_path: Path, monkeypatch: Patch, capsys: Capture, words: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    png(tmp_path / "a.png", drawn())
    (tmp_path / "a.jpg").touch()
    assert main(["predict", "--run", unet.run_id, "--runs", str(unet.root), *words.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err
    assert not (tmp_path / "predictions").exists()


@given(st.binary(max_size=400), st.sampled_from(["a.png", "a.tif", "a.webp", "a.nii", "a.nii.gz"]))
@law
def test_any_bytes_give_a_slice_or_one_clear_error(
    tmp_path_factory: Folders, data: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(data)
    with pytest.raises(BenchmarkError, match=name):
        read(path)


def test_from_a_grid_to_a_mask(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture, few_phantoms: None
) -> None:
    """`reproduce` keeps nothing unasked, says so when asked too late, and keeps what follows."""
    monkeypatch.chdir(tmp_path)
    words = ["reproduce", "--data=phantoms", "--grid=baselines", "--threads=1", "--only"]
    assert main([*words, "arm=otsu", "--out", "a"]) == 0
    (otsu,) = (path.name for path in Path("a").glob("otsu_*"))
    capsys.readouterr()
    assert main([*words, "arm=otsu,background", "--out", "a", "--keep-models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (note,) = (line for line in lines if line.startswith("Note: done before"))
    assert note.endswith(f"or give another --out): {otsu}.")
    assert [path.parent.name[:11] for path in Path("a").glob("*/model.pt")] == ["background_"]
    png(Path("x.png"), drawn())
    assert main(["predict", "x.png", "--runs", "a", "--run", otsu]) == 2
    assert "finished without its model" in capsys.readouterr().err
    background = next(Path("a").glob("background_*")).name
    assert main(["predict", "x.png", "--runs", "a", "--run", background]) == 0
    assert "none" in capsys.readouterr().out
    assert not mask_of(Path("predictions/x_mask.png")).any()
