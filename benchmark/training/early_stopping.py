"""When a training ends, and which epoch's weights are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the monitored value has not improved for `patience` epochs (thesis, 2.10).

    Improvement is strict, from a best of -inf, with no minimum delta; a value that is not
    a number never improves. The weights of best_epoch are the ones kept.
    """

    patience: int
    best: float = -math.inf
    best_epoch: int = -1
    epoch: int = -1

    def after(self, value: float) -> EarlyStopping:
        """Return the state after one more epoch with this value (greater is better)."""
        epoch = self.epoch + 1
        if value > self.best:
            return EarlyStopping(self.patience, value, epoch, epoch)
        return EarlyStopping(self.patience, self.best, self.best_epoch, epoch)

    @property
    def improved(self) -> bool:
        """True where the last epoch is the best so far."""
        return self.epoch >= 0 and self.best_epoch == self.epoch

    @property
    def stop(self) -> bool:
        """True where `patience` epochs have passed since the best one."""
        return self.epoch - self.best_epoch >= self.patience
