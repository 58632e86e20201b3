"""Slurm's commands as scripts that answer from files: for what is told before anything is run.

What arrays do once they are submitted is tried on a real Slurm, in tests/cluster.
"""

from __future__ import annotations

from pathlib import Path

SCRIPTS = {
    "sinfo": "cat $FAKE/sinfo",
    "scontrol": "echo ClusterName = fake; echo MaxArraySize = $(cat $FAKE/largest)",
    "squeue": "cat $FAKE/squeue.err >&2; cat $FAKE/squeue; [ ! -s $FAKE/squeue.err ]",
    "srun": "cat $FAKE/srun.err >&2; cat $FAKE/srun; [ ! -s $FAKE/srun.err ]",
    "sbatch": """\
cat $FAKE/sbatch.err >&2; [ -s $FAKE/sbatch.err ] && exit 1
n=$(($(ls $FAKE | grep -c script) + 12)); cp "$1" $FAKE/script-$n; env > $FAKE/env
echo "Submitted batch job $n"
""",
}
ANSWERS = {
    "sinfo": "main|1:00:00\nlong*|infinite\n", "largest": "9", "squeue": "", "squeue.err": "",
    "srun": "looked on n1\n", "srun.err": "", "sbatch.err": "",
}  # fmt: skip


class FakeSlurm:
    """A folder of commands, and one of what they answer."""

    def __init__(self, folder: Path) -> None:
        self.commands, self.told = folder / "commands", folder / "told"
        self.commands.mkdir()
        self.told.mkdir()
        for name, text in SCRIPTS.items():
            path = self.commands / name
            path.write_text(f"#!/bin/sh\nFAKE='{self.told}'\n{text}\n")
            path.chmod(0o755)
        for name, text in ANSWERS.items():
            self.answers(name, text)

    def answers(self, name: str, text: str) -> None:
        """From now on a command prints this; NAME.err: on stderr, and it fails."""
        (self.told / name).write_text(text)

    @property
    def scripts(self) -> list[str]:
        """What sbatch was given."""
        return [path.read_text() for path in sorted(self.told.glob("script-*"))]
