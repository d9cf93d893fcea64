"""Targets are data: one TOML file a device class, and one rules file a format.

`load_target("android")` reads ``android.toml`` beside this file; `load_target("./my-board.toml")` reads
the user's own. A new device is a new file, no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgekit import declared, documents
from edgekit.errors import UsageError
from edgekit.targets.kernels import ONLY_MACS, Kernels
from edgekit.targets.platform import Platform
from edgekit.tensors import Grid
from edgekit.wording import suggestion

FOLDER = Path(__file__).parent
SCHEMA = "edgekit.target/1"
RULES_SCHEMA = "edgekit.rules/1"


@dataclass(frozen=True)
class ActivationRules:
    """What a format's integer kernels demand of activations, for one activation width.

    Attributes:
        dtype: ``int8`` or ``int16``.
        symmetric: Whether every zero point is 0.
        kernels: Operators that have an integer kernel; all others stay float and are listed.
        shared: Operators whose data inputs and output must share one grid.
        fixed: Operators whose output grid the kernel fixes.
        symmetric_operands: Operator to the operand positions whose zero point must be 0.
        float_results: Whether kernels read integers and give floats, so that a value is rounded only where an integer kernel reads it.
            Then no operator but the kernels and the sums they fuse reads rounded values, and those of `shared` stay between two
            roundings without changing grids.
    """

    dtype: str
    symmetric: bool
    kernels: frozenset[str]
    shared: frozenset[str]
    fixed: Mapping[str, Grid]
    symmetric_operands: Mapping[str, tuple[int, ...]]
    float_results: bool = False


@dataclass(frozen=True)
class Rules:
    """What a format can express.

    Attributes:
        name: The format's name.
        lower: Canonical operators the format lacks, rewritten into ones it has before quantization.
        lower_int8: What else is rewritten where activations are rounded to 8 bits: forms that only integer kernels gain by.
        fuse: Producer operator to what its kernel applies for free: activations, or the sum with another value.
        weighted: Operators with a weight operand, to the weight's output-channel axis.
        transposed_axis: The axis along which the weight of a transposed convolution has its scales.
        activations: Rules by activation width (8, 16).
        dynamic: Operators with a hybrid kernel (dynamic range).
        weight_only: Weighted operators a weight-only scheme compresses.
        blockwise: Weighted operators with a blockwise int4 kernel.
        int4: Weighted operators with a per-channel int4 kernel, or one for every width of `narrow`.
        narrow: Widths of weights below 8 bits that the format has.
        palettes: Whether weights can be stored as tables and indices.
    """

    name: str
    lower: tuple[str, ...]
    fuse: Mapping[str, frozenset[str]]
    weighted: Mapping[str, int]
    activations: Mapping[int, ActivationRules]
    dynamic: frozenset[str]
    weight_only: frozenset[str]
    blockwise: frozenset[str]
    int4: frozenset[str] = frozenset()
    narrow: frozenset[int] = frozenset({4})
    palettes: bool = False
    transposed_axis: int = 1
    lower_int8: tuple[str, ...] = ()

    @property
    def float_results(self) -> bool:
        """Whether integer kernels give floats; see `ActivationRules`."""
        return any(width.float_results for width in self.activations.values())


@dataclass(frozen=True)
class Target:
    """A device class.

    Attributes:
        name: ``android``.
        description: One line.
        format: The converter's name.
        rules: What that format can express.
        recipe: Name of the default recipe.
        runtimes: Runtimes that execute it, best first.
        trained_recipe: Name of the default recipe where there are data to train on, or None for `recipe`.
        input_dtype: Default dtype of float inputs in a statically quantized artifact.
        output_dtype: The same for outputs.
        channel_alignment: Channel counts that run at full speed are multiples of this.
        kernels: What its kernels take for a layer, besides multiply-accumulates.
        flash_bytes: Room for the model, or None.
        ram_bytes: Room for activations, or None.
        compute: Precisions the device computes float operators in, its default first.
        platform: Versions of the device's system and what each reads, or None where that makes no difference.
        images: Whether the format has inputs that apps give as pictures.
        open_batch: Whether a file may take any batch between two sizes.
        extra: What else the file says.
    """

    name: str
    description: str
    format: str
    rules: Rules
    recipe: str
    runtimes: tuple[str, ...]
    trained_recipe: str | None = None
    input_dtype: str = "float32"
    output_dtype: str = "float32"
    channel_alignment: int = 1
    kernels: Kernels = ONLY_MACS
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    compute: tuple[str, ...] = ("float32",)
    platform: Platform | None = None
    images: bool = False
    open_batch: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def at(self, version: str) -> Target:
        """The same target with an older or newer oldest version of its platform.

        Raises:
            UsageError: It has no platform, or that no such version.
        """
        if self.platform is None:
            raise UsageError(f"target {self.name!r} has no versions to choose from")
        return _lowering(replace(self, platform=self.platform.at(version)), self.platform.lowered)


def _lowering(target: Target, before: tuple[str, ...] = ()) -> Target:
    """The target with rules that lower what its platform lacks; `before` is what they lowered for another version."""
    if target.platform is None:
        return target
    kept = tuple(name for name in target.rules.lower if name not in before)
    return replace(target, rules=replace(target.rules, lower=(*target.platform.lowered, *kept)))


def target_names() -> tuple[str, ...]:
    """The built-in targets."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.toml")))


def load_target(name: str | Path) -> Target:
    """Read a built-in target by name or the user's own by path (anything that ends in ``.toml``).

    Raises:
        UsageError: No such target, or the file is not one.
    """
    path = Path(name) if str(name).endswith(".toml") else FOLDER / f"{name}.toml"
    if not str(name).endswith(".toml") and name not in target_names():
        raise UsageError(
            f"unknown target {str(name)!r}" + suggestion(str(name), target_names()),
            accepted=[*target_names(), "a path to your own .toml"],
            next_step="edgekit targets",
        )
    data = _read(path, SCHEMA)
    rules = load_rules(data.pop("rules", data.get("format", "")))
    known = {k: data.pop(k) for k in list(data) if k in Target.__dataclass_fields__ and k != "extra"}
    if "platform" in known:
        known["platform"] = Platform.from_table(known["platform"])
    if "kernels" in known:
        known["kernels"] = declared.build(Kernels, known["kernels"], f"{path}: [kernels]", kind="key")
    return _lowering(declared.build(Target, {"runtimes": (), **known, "rules": rules, "extra": data}, f"target file {path}", kind="key"))


def load_rules(name: str) -> Rules:
    """Read a format's rules file.

    Raises:
        UsageError: No such rules file.
    """
    data = _rules_table(name)
    activations = {int(bits): _activation_rules(table) for bits, table in data.get("activations", {}).items()}
    return Rules(
        name=name,
        lower=tuple(data.get("lower", ())),
        fuse={op: frozenset(acts) for op, acts in data.get("fuse", {}).items()},
        weighted=dict(data.get("weighted", {})),
        activations=activations,
        dynamic=frozenset(data.get("dynamic", ())),
        weight_only=frozenset(data.get("weight_only", ())),
        blockwise=frozenset(data.get("blockwise", ())),
        int4=frozenset(data.get("int4", ())),
        narrow=frozenset(data.get("narrow", (4,))),
        palettes=bool(data.get("palettes", False)),
        transposed_axis=int(data.get("transposed_axis", 1)),
        lower_int8=tuple(data.get("lower_int8", ())),
    )


def _rules_table(name: str) -> dict[str, Any]:
    """A rules file's content; one that ``extends`` another replaces its keys, and its kernels are those but the ones it is ``without``."""
    data = _read(FOLDER / "rules" / f"{name}.toml", RULES_SCHEMA)
    if "extends" not in data:
        return data
    base = _rules_table(data.pop("extends"))
    tables = base.get("activations", {})
    for bits, changes in data.pop("activations", {}).items():
        missing = set(changes.pop("without", ()))
        kernels = [op for op in tables[bits]["kernels"] if op not in missing]
        tables[bits] = {**tables[bits], "kernels": kernels, "shared": [op for op in tables[bits]["shared"] if op not in missing], **changes}
    return {**base, **data, "activations": tables}


def _activation_rules(table: Mapping[str, Any]) -> ActivationRules:
    dtype = table["dtype"]
    fixed = {op: Grid(dtype, (float(g["scale"]),), (int(g["zero_point"]),)) for op, g in table.get("fixed", {}).items()}
    operands = {op: tuple(positions) for op, positions in table.get("symmetric_operands", {}).items()}
    return ActivationRules(
        dtype,
        bool(table["symmetric"]),
        frozenset(table["kernels"]),
        frozenset(table["shared"]),
        fixed,
        operands,
        bool(table.get("float_results", False)),
    )


def _read(path: Path, schema: str) -> dict[str, Any]:
    return documents.read_toml(path, schema, accepted=[*target_names(), "your own .toml"])
