"""The arms this repository brings: one per file, and the explicit table of their names."""

from baselines import _cost
from benchmark.arm import ArmEntry

_TRAINED = {"alpha": 0.5}
_GROWN = {"smoothing": 0.01, "rim": 0.12, "neck": 0.10, "tuning_slices": 48}


ARMS: dict[str, ArmEntry] = {
    "unet": ArmEntry("baselines.unet:UNetArm", {**_TRAINED, "kernel_size": 5}, gflop=_cost.unet),
    "background": ArmEntry("baselines.background:Background", {}, deterministic=True),
    "otsu": ArmEntry("baselines.otsu:Otsu", {"rim": 0.2}, deterministic=True),
    "threshold": ArmEntry(
        "baselines.threshold:Threshold",
        {"rim": 0.2, "steps": 50, "tuning_slices": 64},
        deterministic=True,
    ),
    "region-growing": ArmEntry(
        "baselines.region_growing:RegionGrowing", _GROWN, deterministic=True
    ),
    "click-region-growing": ArmEntry(
        "baselines.region_growing:ClickRegionGrowing", _GROWN, deterministic=True, needs_click=True
    ),
    "edges": ArmEntry(
        "baselines.edges:Edges",
        {"smoothing": 0.01, "rim": 0.2, "band": 0.1, "tuning_slices": 96},
        deterministic=True,
    ),
    "clusters": ArmEntry(
        "baselines.clusters:Clusters", {"rim": 0.2, "tuning_slices": 64}, deterministic=True
    ),
    "attention-unet": ArmEntry(
        "baselines.attention_unet:AttentionUNetArm", _TRAINED, gflop=_cost.attention_unet
    ),
    "unet-maxpool": ArmEntry(
        "baselines.unet_maxpool:MaxPoolUNetArm",
        {**_TRAINED, "kernel_size": 5},
        gflop=_cost.unet_maxpool,
    ),
    "dynunet": ArmEntry(
        "baselines.dynunet:DynUNetArm", {**_TRAINED, "loss": "tversky"}, gflop=_cost.dynunet
    ),
}
