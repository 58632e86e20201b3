"""A test-driven benchmark of meningioma segmentation on 2D contrast MRI slices."""

__version__ = "0.1.0"
