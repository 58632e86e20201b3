"""What an arm from outside was is told by a hash: of its module and its own package's, not more."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from baselines.otsu import Otsu
from benchmark.arm import ArmEntry
from benchmark.arm_source import ArmSource, _essence, own_modules, source_of
from benchmark.errors import ArmError

Patch = pytest.MonkeyPatch
ARM = """\
from dataclasses import dataclass

@dataclass
class Mine:
    width: int = 32
"""
PACKAGE = {  # of an arm that reaches every module of it in another way
    "my_net/__init__.py": "from . import flags\n",
    "my_net/flags.py": "SCALE = 1\n",
    "my_net/arms.py": "import my_net.base\nfrom .layers.down import *\n" + ARM,
    "my_net/base.py": "def late():\n    from ..my_net import lazy\n",
    "my_net/lazy.py": "import importlib\nimportlib.import_module('.asked', __package__)\n",
    "my_net/asked.py": "from my_net_tools import tool\n",
    "my_net/layers/__init__.py": "",
    "my_net/layers/down.py": "try:\n    from my_net.layers import up as raised\nexcept E: pass\n",
    "my_net/layers/up.py": "UP = 2\n",
    "my_net/unused.py": "NOBODY = 'imports me'\n",
    "my_net_tools.py": "import json, numpy\ntool = 3\n",
}
REACHED = sorted(
    name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for name in PACKAGE
    if "unused" not in name
)
Load = Callable[..., type]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: Patch) -> Iterator[Load]:
    """Write files into a folder on Python's path, and load a class from there."""
    before = set(sys.modules)

    def loaded(files: dict[str, str | bytes], target: str, folder: str = "site") -> type:
        root = tmp_path / folder
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        for name in set(sys.modules) - before:
            if name.startswith("my_"):
                del sys.modules[name]
        importlib.invalidate_caches()
        module, _, name = target.partition(":")
        with pytest.MonkeyPatch.context() as path_of_python:
            path_of_python.syspath_prepend(root)
            arm: type = getattr(importlib.import_module(module), name)
        monkeypatch.syspath_prepend(root)
        return arm

    yield loaded
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def hash_of(arm: type) -> str:
    source = ArmEntry.of(arm).source
    assert source is not None
    return source.sha256


def package(change: dict[str, str] | None = None) -> dict[str, str | bytes]:
    files = {**PACKAGE, **(change or {})}
    return {name: text.replace("except E: pass", "finally: pass") for name, text in files.items()}


def test_an_arm_of_this_repository_has_no_source() -> None:
    assert ArmEntry.of(Otsu).source is None


def test_every_module_of_its_own_that_an_arm_imports_is_read_and_no_other(load: Load) -> None:
    """Relative, absolute, from a package, with a star, in a function, in a try, by a text."""
    assert sorted(own_modules(load(package(), "my_net.arms:Mine"))) == REACHED


@pytest.mark.parametrize("name", sorted(PACKAGE))
def test_a_change_of_a_module_changes_the_hash_if_and_only_if_the_arm_imports_it(
    load: Load, name: str
) -> None:
    before = hash_of(load(package(), "my_net.arms:Mine", "before"))
    longer = {name: PACKAGE[name] + "MORE = 1\n"}
    after = hash_of(load(package(longer), "my_net.arms:Mine", "after"))
    assert (before != after) is ("unused" not in name)


def test_the_folder_does_not_count(load: Load) -> None:
    here, there = (load(package(), "my_net.arms:Mine", where) for where in ("a", "b/c"))
    assert hash_of(here) == hash_of(there)


PLAIN = """\
from dataclasses import dataclass
@dataclass
class Mine:
    width: int = 32
    text = '''one # no comment

    two   
'''
    label = f"{width} # no comment"
"""  # noqa: W291 - blanks within a string count
COMMENTED = """\
# -*- coding: utf-8 -*-
from dataclasses import dataclass   # why

# more
@dataclass

class Mine:  # ä
    width: int = 32
    text = '''one # no comment

    two   
'''   # after the string

    label = f"{width} # no comment"  # it's "quoted"
\t
"""  # noqa: W291


def test_comments_blank_lines_and_windows_line_ends_do_not_count(load: Load) -> None:
    texts = {
        "plain": PLAIN.encode(),
        "commented": COMMENTED.encode(),
        "windows": COMMENTED.replace("\n", "\r\n").encode(),
        "old mac": PLAIN.replace("\n", "\r").encode(),
        "marked": b"\xef\xbb\xbf" + PLAIN.encode(),
        "no last line end": PLAIN.rstrip().encode(),
    }
    hashes = {hash_of(load({"my_arm.py": t}, "my_arm:Mine", name)) for name, t in texts.items()}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("32", "33"),
        ("    width", "     width"),
        ("# no comment\n", "# a comment\n"),
        ("comment\n\n", "comment\n"),
        ("two   ", "two"),
        ("{width} #", "{width}  #"),
        ("class Mine:", 'class Mine:\n    """What it is."""'),
    ],
)
def test_everything_else_counts(load: Load, old: str, new: str) -> None:
    changed = PLAIN.replace(old, new)
    changed = changed.replace("    text", "     text") if "     width" in new else changed
    changed = changed.replace("    label", "     label") if "     width" in new else changed
    assert changed != PLAIN
    hashes = [hash_of(load({"my_arm.py": t}, "my_arm:Mine", t[-9:].strip() + str(i)))
              for i, t in enumerate((PLAIN, changed))]  # fmt: skip
    assert hashes[0] != hashes[1]


def test_the_hash_is_of_names_and_texts_and_so_the_same_on_every_machine_and_python(
    load: Load,
) -> None:
    text = PLAIN.rstrip()
    hashed = json.dumps(["Mine", [["my_arm", text]]], separators=(",", ":"))
    digest = hashlib.sha256(hashed.encode()).hexdigest()
    assert hash_of(load({"my_arm.py": COMMENTED}, "my_arm:Mine")) == digest


def test_another_class_of_one_file_is_another_arm(load: Load) -> None:
    text = ARM + "\n@dataclass\nclass Other(Mine):\n    depth: int = 3\n"
    one, other = (load({"my_arm.py": text}, f"my_arm:{name}") for name in ("Mine", "Other"))
    assert hash_of(one) != hash_of(other)


def test_beside_a_single_file_its_siblings_count(load: Load) -> None:
    arm = "from my_layers import N\n" + ARM
    hashes = [
        hash_of(load({"my_arm.py": arm, "my_layers.py": f"N = {n}\n"}, "my_arm:Mine", f"{n}"))
        for n in (1, 2)
    ]
    assert hashes[0] != hashes[1]


def test_a_script_run_under_another_name_is_the_same_arm(load: Load, monkeypatch: Patch) -> None:
    arm = load({"my_arm.py": ARM}, "my_arm:Mine")
    imported = hash_of(arm)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["my_arm"])
    arm.__module__ = "__main__"
    assert hash_of(arm) == imported


def installed(name: str, *files: str, top_level: bool = False) -> dict[str, str | bytes]:
    """What installing a distribution leaves beside its modules."""
    about = f"{name}-1.0.dist-info"
    record = "".join(f"{file},sha256=0,1\n" for file in files)
    listed = "".join(sorted({file.split("/")[0].removesuffix(".py") + "\n" for file in files}))
    own = {"top_level.txt": listed} if top_level else {"RECORD": record}
    own |= {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
    return {f"{about}/{file}": text for file, text in own.items()}


@pytest.mark.parametrize("top_level", [False, True])
def test_what_other_distributions_have_installed_beside_it_is_not_its_own(
    load: Load, top_level: bool
) -> None:
    """As in site-packages, or in a folder of `pip install --target`."""
    files: dict[str, str | bytes] = {
        "my_arm.py": "import my_layers, my_stranger, my_strangers.deep\n" + ARM,
        "my_layers.py": "",
        "my_stranger.py": "",
        "my_strangers/__init__.py": "",
        "my_strangers/deep.py": "",
    }
    files |= installed("my-arm", "my_arm.py", "my_layers.py", top_level=top_level)
    strangers = ("my_stranger.py", "my_strangers/__init__.py", "my_strangers/deep.py")
    files |= installed("others", *strangers, top_level=top_level)
    assert sorted(own_modules(load(files, "my_arm:Mine"))) == ["my_arm", "my_layers"]


def test_neither_the_harness_nor_pythons_own_library_is_its_own(load: Load) -> None:
    """Also where a file of that name lies beside the arm, as `benchmark/` does in a clone."""
    files: dict[str, str | bytes] = {
        "my_arm.py": "import benchmark.arm, json\n" + ARM,
        "benchmark/__init__.py": "",
        "benchmark/arm.py": "",
        "json.py": "",
    }
    arm = load({"my_arm.py": files["my_arm.py"]}, "my_arm:Mine")
    root = Path(sys.modules["my_arm"].__file__ or "").parent
    for name, content in list(files.items())[1:]:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(str(content))
    sys.path.remove(str(root))
    sys.path.append(str(root))
    assert list(own_modules(arm)) == ["my_arm"]


def test_a_compiled_module_counts_by_its_bytes_and_the_version(load: Load) -> None:
    arm = "def late():\n    import my_fast\n" + ARM
    hashes = []
    for fast in (b"\x7fELF 1", b"\x7fELF 2"):
        loaded = load({"my_arm.py": arm, "my_fast.so": fast}, "my_arm:Mine", fast[-1:].decode())
        for version in ("1.0", "1.1"):
            source = source_of(loaded, own_modules(loaded), "my-arm", version)
            assert source is not None
            hashes.append(source.sha256)
    assert len(set(hashes)) == 4


def test_of_a_readable_source_the_version_does_not_count(load: Load) -> None:
    """So that the same code installed and as a file is the same arm."""
    arm = load({"my_arm.py": ARM}, "my_arm:Mine")
    one, other = (source_of(arm, own_modules(arm), "my-arm", v) for v in ("1.0", "1.1"))
    assert one is not None
    assert other is not None
    assert (one.package, one.version) == ("my-arm", "1.0")
    assert one.sha256 == other.sha256
    assert ArmEntry.of(arm).source == ArmSource("my_arm", "", one.sha256)


@pytest.mark.parametrize(
    "broken", [b"def (:\n", b"\xff\xfe = 1\n", b"# coding: no-such\n", b"x = 1\x00\n"]
)
def test_a_module_that_python_cannot_read_counts_by_its_bytes(load: Load, broken: bytes) -> None:
    """One that is imported only when it is needed."""
    arm = "def late():\n    import my_broken\n" + ARM
    hashes = {
        hash_of(load({"my_arm.py": arm, "my_broken.py": t}, "my_arm:Mine", str(len(t))))
        for t in (broken, broken + b"#")
    }
    assert len(hashes) == 2


def test_a_class_in_no_file_is_refused(load: Load) -> None:
    arm = load({"my_arm.py": ARM}, "my_arm:Mine")
    shutil.rmtree(Path(sys.modules["my_arm"].__file__ or "").parent)
    with pytest.raises(
        ArmError, match=r"Mine: its module 'my_arm' is no file on disk, .*write the"
    ):
        ArmEntry.of(arm)


BITS = st.sampled_from(["x = 1", "y = '#'", "'''a", "b'''", "f'{1}'", "(", ")", "\\", "# c", " "])


@law
@given(st.lists(BITS, max_size=8), st.integers(0, 8))
def test_a_comment_and_a_blank_line_between_statements_change_nothing(
    bits: list[str], place: int
) -> None:
    """Of any text that Python reads: what is left reads as the same statements."""
    lines = [bit.strip() if bit == " " else bit for bit in bits]
    text = "\n".join([*lines, ""])
    try:
        tree = ast.dump(ast.parse(text))
    except SyntaxError:
        return
    assert ast.dump(ast.parse(_essence(text))) == tree
    longer = "\n".join([*lines[:place], "# a comment", "", *lines[place:], ""])
    try:
        same = ast.dump(ast.parse(longer)) == tree
    except SyntaxError:
        return
    if same:  # not within a string
        assert _essence(longer) == _essence(text)
