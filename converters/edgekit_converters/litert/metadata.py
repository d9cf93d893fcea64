"""Labels and texts about the model inside the file, as Android's libraries read them (tflite-support, ``metadata_schema.fbs``, ``M001``).

The metadata is a flatbuffer of its own in a buffer called ``TFLITE_METADATA``; the label file it names is in a ZIP archive appended to
the model, which flatbuffer readers never look at.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import flatbuffers

from edgekit.errors import ConversionError
from edgekit.plugins import Encoding
from edgekit.tensors import TensorSpec

LABEL_FILE = "labels.txt"
_BUFFER = "TFLITE_METADATA"
_AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_FIELDS = {"description": 1, "version": 2, "author": 4, "licence": 5}  # of ModelMetadata
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a ZIP archive holds: the same model gives the same bytes


def metadata(encoding: Encoding, inputs: Sequence[str], outputs: Sequence[TensorSpec]) -> dict[str, bytes]:
    """The file's metadata buffers by name; none if there is nothing to say.

    Raises:
        ConversionError: No output has as many classes as there are labels.
    """
    if not encoding.labels and not encoding.texts:
        return {}
    labelled = _labelled(encoding, outputs)
    return {_BUFFER: _flatbuffer(encoding.texts, inputs, [spec.name for spec in outputs], labelled)}


def append_labels(path: Path, encoding: Encoding) -> None:
    """Append the labels to the model file at `path`, one a line."""
    if not encoding.labels:
        return
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABEL_FILE, _EPOCH), "".join(f"{label}\n" for label in encoding.labels))


def _labelled(encoding: Encoding, outputs: Sequence[TensorSpec]) -> str | None:
    """Name of the first output with as many classes as there are labels."""
    if not encoding.labels:
        return None
    for spec in outputs:
        if spec.shape and spec.shape[-1] == len(encoding.labels):
            return spec.name
    shapes = ", ".join(f"{spec.name}: {list(spec.shape)}" for spec in outputs)
    raise ConversionError(
        f"{len(encoding.labels)} labels were given, but no output has {len(encoding.labels)} classes ({shapes})",
        next_step="give one label for each value of an output's last dimension",
    )


def _flatbuffer(texts: Mapping[str, str], inputs: Sequence[str], outputs: Sequence[str], labelled: str | None) -> bytes:
    builder = flatbuffers.Builder(512)

    def table(slots: int, **fields: tuple[int, Callable[[int], None]]) -> int:
        builder.StartObject(slots)
        for slot, add in fields.values():
            add(slot)
        return int(builder.EndObject())

    def reference(offset: int) -> Callable[[int], None]:
        return lambda slot: builder.PrependUOffsetTRelativeSlot(slot, offset, 0)

    def vector(offsets: Sequence[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    def tensor(name: str) -> int:
        text = builder.CreateString(name)
        if name != labelled:
            return table(7, name=(0, reference(text)))
        file_name = builder.CreateString(LABEL_FILE)
        file = table(4, name=(0, reference(file_name)), type=(2, lambda slot: builder.PrependInt8Slot(slot, _AXIS_LABELS, 0)))
        return table(7, name=(0, reference(text)), associated_files=(6, reference(vector([file]))))

    given, made = vector([tensor(name) for name in inputs]), vector([tensor(name) for name in outputs])
    graphs = vector([table(7, inputs=(2, reference(given)), outputs=(3, reference(made)))])
    version = builder.CreateString("1.0.0")
    fields = {"graphs": (3, reference(graphs)), "min_parser_version": (7, reference(version))}
    fields |= {name: (_FIELDS[name], reference(builder.CreateString(text))) for name, text in texts.items()}
    builder.Finish(table(8, **fields), file_identifier=b"M001")
    return bytes(builder.Output())
