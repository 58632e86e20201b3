"""One training: the loop, its step, loss, augmentation, random streams and how it is carried out on
a device.
"""
