import hashlib
import shutil
import subprocess

import pytest

from edgekit import digests


def test_a_folder_has_the_digest_of_what_sha256sum_prints(tmp_path):
    names = ["model.mlpackage/Data/weights/weight.bin", "model.mlpackage/Data-1", "model.mlpackage/Manifest.json"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = digests.of_folder(tmp_path / "model.mlpackage")
    assert found == digests.of_files({name: digests.of_file(tmp_path / name) for name in reversed(names)})
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    printed = subprocess.run(["sha256sum", *sorted(names)], cwd=tmp_path, capture_output=True, check=True).stdout
    assert found == hashlib.sha256(printed).hexdigest()
