"""The Core ML reference evaluator: reads a saved ``.mlpackage`` with code of its own and computes what it says with torch.

`package` opens the folder, `blobs` its weight file, `program` makes nouns of the protobuf messages, `decompress` materializes
compressed constants, `ops` holds one function an operator, `evaluate` runs them, `edges` is what an app sees of it. Nothing here
imports coremltools, so that what coremltools wrote is held against something that is not coremltools.
"""
