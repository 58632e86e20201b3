"""One training: its loop, step, loss, augmentation, random streams, and how a device does it."""
