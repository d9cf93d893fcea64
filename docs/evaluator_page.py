"""The page of the Core ML evaluator: what it is for, and the operators it has, as its registry lists them."""

from __future__ import annotations

from itertools import groupby

_TEXT = """\
# The Core ML evaluator

No Mac is needed to know what numbers a Core ML package stands for. The runtime `coreml` reads a saved `.mlpackage` with code that shares
nothing with its writer, decompresses its constants, and computes its program with PyTorch. It answers for **numerics, not latency**: every
verdict says so, and `edgekit profile` refuses it. How fast a model is can only be measured on the device.

    edgekit verify build/model --data test.npz             # the package, evaluated, against the float model
    edgekit verify build/model --runtime coreai            # the same package, run by Apple's Core AI
    edgekit explain build/model/model.mlpackage --tensors  # what it needs, how each weight is stored and in how many bits

**Precision.** Each result is rounded to the type that the program declares for it: once an operator, after computing in single precision.
What a device accumulates in half precision inside of an operator, and what its compiler fuses, is not modelled.

**Inputs and outputs.** Images are pixels 0…255, `(channels, height, width)`, in the colour order the package states; scale and bias are
the program's own operators. A classifier gives its probabilities, and its labels beside them.

**Never trust the writer.** After each conversion the package is read back and every weight is compared with the graph's, bit for bit in
the rounding its encoding declares. coremltools 9.0 is known to write wrong weights for layers that it says it skipped; a test holds that
this is found.

**Compressed constants**: palettes (iOS 16 and 18, by blocks, of vectors), affine and blockwise integers, bitmask-sparse ones, and the joint
forms of sparse with palette and sparse with integers.

**Second opinion.** Where the extra `coreai` is installed (Linux x86-64), the runtime `coreai` translates the program from the same package
to Apple's own Core AI runtime, which computes it with Apple's kernels. It translates fewer operators, of static shapes: {translated}.

**How the operators are tested**: against coremltools' own shape and value inference, against PyTorch, and once against several hundred
of the tests in the coremltools package, which on a Mac hold Core ML itself to the same values (`round` is to even; the plain `gru` resets
the state before its product; `lstm` clips the cell; a reversed layer gives its states in the order in which it computes them).

## Operators

An operator that is not listed is an error that names it. Not there: {missing}.

| family | operators |
|---|---|
{rows}
"""


def evaluator() -> str:
    """The page."""
    from edgekit_runtimes._coreai import TRANSLATED
    from edgekit_runtimes._coreml.registry import MISSING, operators

    found = sorted(operators().values(), key=lambda operator: (operator.family, operator.name))
    families = groupby(found, key=lambda operator: operator.family)
    rows = "\n".join(f"| {family} | {', '.join(f'`{operator.name}`' for operator in group)} |" for family, group in families)
    missing = "; ".join(f"{why} ({', '.join(f'`{name}`' for name in names)})" for why, names in MISSING.items())
    return _TEXT.format(rows=rows, missing=missing, translated=", ".join(f"`{name}`" for name in TRANSLATED))
