"""The face of a phantom: orbits and nose before the brain, in slices at the height of the eyes.

There real slices hold fat and mucosa that are as bright as the tumour and as thick: what a
threshold takes for it.
"""

from __future__ import annotations

import numpy as np

from benchmark.data.strokes import DURA, Floats, edge, waves

EYE_LEVEL = 0.6  # share of patients whose slices are at that height


def face(
    rng: np.random.Generator, place: int, grid: Floats, light: Floats, radius: Floats, dura: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return picture (size, size), radius (size, size) and dura (360, 2) with a face.

    Unchanged in a higher slice. light is brightness 0 to 1; radius and dura are those of
    `phantoms`, in head coordinates. The face is a wedge that points to the middle of the head.
    Afterwards the dura follows its wall too, and the radius is DURA there.
    """
    x, y = grid[None, :], grid[:, None]
    pixel = 2 / len(grid)
    if rng.random() >= EYE_LEVEL:
        return light, radius, dura
    tip, slope = rng.uniform(-0.34, -0.24) * (1 + 0.04 * place), rng.uniform(0.25, 0.5)
    fat, mucosa, muscle = rng.uniform(0.55, 0.85), rng.uniform(0.5, 0.75), rng.uniform(0.3, 0.5)
    across, reach = rng.uniform(0.22, 0.27), rng.uniform(0.15, 0.19)
    texture = waves(rng, grid, place, 8, 22, 24)
    ahead = (tip - slope * np.abs(x) - y) / np.hypot(1, slope)  # distance into the face
    within = edge(np.maximum(radius - DURA, -ahead), pixel)
    bright = muscle * (1 + 0.2 * texture)
    deep = tip - slope * across - reach - 0.03  # the middle of the orbit
    for side in (-1, 1):
        u, v = side * x - across, y - deep
        bright += edge(np.hypot(u, 0.85 * v) - reach, pixel) * (fat - bright)
        nerve = np.maximum(np.abs(u + 0.25 * v) - 0.016, -v)
        bright += edge(nerve, pixel) * (0.36 - bright)
        bright += edge(np.hypot(u, v + 0.06) - 0.085, pixel) * (0.15 - bright)  # the eye
    nose = mucosa * (1 + 0.1 * texture)
    cells = np.abs(texture) - 0.35
    nose += edge(cells / 15, pixel) * (0.04 - nose)
    bright += edge(np.abs(x) - 0.07, pixel) * (nose - bright)
    bright += edge(ahead - 0.025, pixel) * (0.10 - bright)  # the bone
    bright += edge(ahead - 0.008, pixel) * (0.42 - bright)  # and its dura
    angle = np.arctan2(dura[:, 1], dura[:, 0])
    forwards = -(np.sin(angle) + slope * np.abs(np.cos(angle)))
    wall = np.where(forwards > 0.01, -tip / np.maximum(forwards, 0.01), np.inf)
    nearer = np.minimum(1, wall / np.hypot(dura[:, 0], dura[:, 1]))
    light = light + within * (bright - light)
    return light, np.maximum(radius, DURA + ahead), dura * nearer[:, None]
