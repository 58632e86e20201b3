"""Several models as one: the mean of their probabilities, their disagreement, what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from data_forms import one_line, snapshot
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_forms import SQUARE, Spy, drawn, model_around, png
from numpy.typing import NDArray
from PIL import Image
from strategies import law

from benchmark.arm import FloatImages
from benchmark.errors import SpecError
from benchmark.inference.ensemble import check_members, combined, outlined, research_only
from benchmark.inference.input_files import find
from benchmark.inference.outline import outline
from benchmark.inference.predict import predict, report
from benchmark.inference.trained_model import TrainedModel

Map = NDArray[np.float32]


def maps(count: int) -> st.SearchStrategy[NDArray[np.float32]]:
    """Some probability maps (count, 3, 4), values at the threshold among them."""
    values = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1, width=32)
    return arrays(np.float32, (count, 3, 4), elements=values)


@dataclass
class Steady:
    """Gives every pixel one probability."""

    p: float

    def predict(self, images: FloatImages) -> Map:
        return np.full(images.shape, self.p, np.float32)


def member(name: str, arm: object, **changes: object) -> TrainedModel:
    return replace(model_around(arm), run_id=name, **changes)  # type: ignore[arg-type]


@given(maps(1))
@law
def test_the_mean_of_one_model_is_that_model(own: Map) -> None:
    """Law: a pixel is tumour where p > 0.5, as in scoring; nothing disagrees, nothing is added."""
    found = combined([*own])
    np.testing.assert_array_equal(found.mask, own[0] > 0.5)
    assert not found.disagreement.any()
    assert found.measures == {}


@given(maps(3))
@law
def test_the_order_of_models_changes_no_bit(three: Map) -> None:
    """Law: sums of floating-point numbers hang on their order; these do not."""
    first = combined([*three])
    for order in permutations(three):
        other = combined(order)
        np.testing.assert_array_equal(other.mask, first.mask)
        assert other.disagreement.tobytes() == first.disagreement.tobytes()
        assert other.measures == first.measures


@given(maps(1), st.integers(2, 4))
@law
def test_models_that_say_the_same_disagree_nowhere_and_are_as_one(own: Map, times: int) -> None:
    """Law: to the last bit of the mean, so a map within rounding of 0.5 is left out."""
    found = combined([own[0]] * times)
    assert found.disagreement.max() < 1e-6
    assert found.measures["member_dice"] == 1
    clear = np.abs(own[0] - 0.5) > 1e-6
    np.testing.assert_array_equal(found.mask[clear], (own[0] > 0.5)[clear])


@given(maps(4))
@law
def test_disagreement_is_the_standard_deviation_and_at_most_a_half(four: Map) -> None:
    """Law; the oracle is the definition: the root of the mean square less the squared mean."""
    spread = combined([*four]).disagreement
    exact = four.astype(np.float64)
    variance = (exact**2).mean(axis=0) - exact.mean(axis=0) ** 2
    np.testing.assert_allclose(spread, np.sqrt(variance.clip(min=0)), atol=1e-6)
    assert spread.dtype == np.float32
    assert spread.max() <= 0.5


def test_two_models_by_hand() -> None:
    """Four pixels. Means 0.75, 0.5, 0.625, 0: two are above a half; half differences beside.

    Masks 1100 and 1010 share one pixel of two and two: Dice 2 * 1 / (2 + 2). Over the mask the
    disagreement is (0.25 + 0.375) / 2 = 0.3125.
    """
    one = np.array([[1.0, 0.75, 0.25, 0.0]], np.float32)
    two = np.array([[0.5001, 0.25, 1.0, 0.0]], np.float32)
    found = combined([one, two])
    assert found.mask.tolist() == [[True, False, True, False]]
    np.testing.assert_allclose(found.disagreement, [[0.25, 0.25, 0.375, 0]], atol=1e-4)
    assert found.measures == {"mean_disagreement": pytest.approx(0.3125, abs=1e-4),
                              "member_dice": 0.5}  # fmt: skip


def test_where_nothing_is_outlined_disagreement_has_no_mean_and_empty_masks_agree() -> None:
    """Also where one model is torn: 0.4 and 0.2 are both below a half."""
    found = combined([np.full((2, 2), p, np.float32) for p in (0.4, 0.2)])
    assert not found.mask.any()
    assert found.measures == {"mean_disagreement": None, "member_dice": 1.0}
    np.testing.assert_allclose(found.disagreement, 0.1, atol=1e-6)


def test_each_model_is_fed_as_its_own_training_was() -> None:
    """One is fed 64 x 64, the other 32 x 32; both answers come back to the slice's pixels."""
    large, small = Spy(), Spy()
    models = [member("a", large), member("b", small, fed=(32, 32))]
    image = drawn()
    found = outlined(models, image, (SQUARE, SQUARE))
    assert (large.fed[0].shape, small.fed[0].shape) == ((1, 64, 64), (1, 32, 32))
    for model, own in zip(models, found.member_masks, strict=True):
        np.testing.assert_array_equal(own, outline(model, image, (SQUARE, SQUARE)))


def test_two_models_write_a_map_beside_each_mask(tmp_path: Path) -> None:
    """0.25 and 1: mean 0.625, each 0.375 from it; 0.375 * 510 = 191; a NIfTI file keeps 0.375."""
    png(tmp_path / "in" / "a.png", drawn())
    volume = nibabel.Nifti1Image(drawn(1)[:, :, None], np.diag([-SQUARE, -SQUARE, 6, 1]))
    nibabel.save(volume, tmp_path / "in" / "b.nii")
    models = [member("two", Steady(1.0)), member("one", Steady(0.25))]
    paths, out = find([tmp_path / "in"]), tmp_path / "out"
    table = predict(models, paths, out, None)
    assert sorted(path.name for path in out.iterdir()) == [
        "a_disagreement.png", "a_mask.png", "a_overlay.png",
        "b_disagreement.nii.gz", "b_mask.nii.gz", "b_overlay.png", "measures.csv",
    ]  # fmt: skip
    assert (np.asarray(Image.open(out / "a_disagreement.png")) == 191).all()
    stored = nibabel.load(out / "b_disagreement.nii.gz")
    assert stored.get_data_dtype() == np.float32
    assert (np.asarray(stored.dataobj) == 0.375).all()
    np.testing.assert_allclose(stored.affine, volume.affine)
    assert table["tumour_found"].all()
    assert set(table["run_id"]) == {"one two"}
    assert table["mean_disagreement"].tolist() == [0.375, 0.375]
    assert table["member_dice"].tolist() == [0, 0]
    again = predict(models[::-1], paths, tmp_path / "again", None)
    pd.testing.assert_frame_equal(again, table)
    assert snapshot(tmp_path / "again") == snapshot(out)
    assert [path.name for path in find([out])] == [  # without a slice beside them they are slices
        path.name for path in sorted(out.iterdir()) if path.suffix != ".csv"
    ]


def test_maps_are_passed_over_in_a_folder_beside_their_slice(tmp_path: Path) -> None:
    for name in ("a.png", "a_disagreement.png", "a_mask.png", "a_overlay.png"):
        (tmp_path / name).touch()
    assert [path.name for path in find([tmp_path])] == ["a.png"]


def test_a_run_named_twice_and_phantoms_among_real_slices_are_refused(tmp_path: Path) -> None:
    """Before anything is read or asked."""
    spy = Spy()
    path = png(tmp_path / "a.png", drawn())
    with one_line(SpecError, "--run x: is named 2 times", "name each run once"):
        predict([member("x", spy), member("x", spy)], [path], tmp_path / "out", None)
    with one_line(SpecError, "--run y: was trained on drawn phantoms", "name runs of one kind"):
        check_members([member("x", spy), member("y", spy, phantom=True)])
    check_members([member("x", spy, phantom=True), member("y", spy, phantom=True)])
    assert spy.fed == []
    assert not (tmp_path / "out").exists()


def test_the_warning_says_what_all_models_were_trained_on(tmp_path: Path) -> None:
    models = [member("a", Spy()), member("b", Spy(), slices=90, patients=8)]
    says = "The 2 models, here averaged, were trained on 90 to 100 2D slices of 8 to 9 patients "
    assert says in research_only(models)
    assert "They were never tried on\nhealthy slices" in research_only(models)
    assert "never tried" not in research_only(models, tried=True)
    unknown = [models[0], replace(models[1], patients=0)]
    assert "trained on 90 to 100 2D slices that show" in research_only(unknown)
    table = predict(models, [png(tmp_path / "a.png", drawn())], tmp_path / "out", None)
    assert says in report(table, models)


@pytest.mark.parametrize(
    ("level", "spacing_mm", "says"),
    [
        (1.0, None, "Something is outlined on 0 of 2 slices."),
        (-2.0, None, "Something is outlined on 2 of 2 slices, in the median 4096 pixels."),
        (-2.0, (0.5, 0.5), "Something is outlined on 2 of 2 slices, in the median 1024 mm2."),
    ],
)
def test_it_says_on_how_many_slices_something_is_outlined(
    tmp_path: Path, level: float, spacing_mm: tuple[float, float] | None, says: str
) -> None:
    """All of 64 x 64 pixels, of a quarter of a mm2 each."""
    paths = [png(tmp_path / f"{name}.png", drawn(seed)) for seed, name in enumerate("ab")]
    models = [model_around(Spy(level))]
    table = predict(models, paths, tmp_path / "out", spacing_mm, say=lambda note: None)
    assert f"\n{says}\n" in report(table, models)
