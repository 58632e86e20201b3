"""A function of tensors captured once as a CUDA graph and replayed: one launch, not hundreds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Tensors = tuple[torch.Tensor, ...]
Capture = Callable[[Callable[[], Tensors]], tuple[Tensors, Callable[[], None]]]
WARM_UPS = 3  # as PyTorch's notes on CUDA graphs ask: the first calls choose the kernels


def capture_on_cuda(function: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
    """Return what the function gives and a call that computes it again into the same tensors."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        outputs = function()
    return outputs, graph.replay


class Captured:
    """Calls like the function it was made from, for inputs of the example's shapes.

    The tensors handed out are overwritten by the next call. buffers (running statistics, say)
    are put back as they were, since capturing runs the function a few times.
    """

    def __init__(
        self,
        function: Callable[..., Tensors],
        example: Sequence[torch.Tensor],
        buffers: Sequence[torch.Tensor] = (),
        capture: Capture = capture_on_cuda,
    ) -> None:
        self.inputs = tuple(tensor.clone() for tensor in example)
        before = [buffer.clone() for buffer in buffers]
        self.outputs, self.replay = capture(lambda: function(*self.inputs))
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)

    def fits(self, inputs: Sequence[torch.Tensor]) -> bool:
        """True where the inputs have the shapes that were captured."""
        return all(own.shape == given.shape for own, given in zip(self.inputs, inputs, strict=True))

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.replay()
        return self.outputs
