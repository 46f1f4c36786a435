"""The wheel that is shipped says nothing of the machine that built it."""

import base64
import hashlib
import importlib.util
import json
import pathlib
import zipfile

import pytest
from conftest import ROOT

spec = importlib.util.spec_from_file_location("release", ROOT / "python" / "release.py")
release = importlib.util.module_from_spec(spec)
spec.loader.exec_module(release)

INFO = "spark_effects-0.1.0.dist-info"
OURS, CORE, THEIRS = (
    "spark-effects@0.1.0",
    "pkg:cargo/effects-core@0.1.0",
    "registry+https://x/y#bytes@1.12.2",
)
# As maturin writes them, and as they should be.
PARTS = {
    f"path+file:///build/here/python#{OURS}": f"pkg:cargo/{OURS}",
    f"path+file:///build/here/python#{OURS} bin-target-0": f"pkg:cargo/{OURS} bin-target-0",
    "path+file:///build/here/crates/effects-core#0.1.0": CORE,
    f"{CORE}?download_url=file://../crates/effects-core": CORE,
    f"pkg:cargo/{OURS}?download_url=file://.#rust/lib.rs": f"pkg:cargo/{OURS}#rust/lib.rs",
    THEIRS: THEIRS,
}


def recorded(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


@pytest.fixture
def wheel(tmp_path):
    files = {
        "spark_effects/_native.abi3.so": b"\x7fELF\0/home/somebody/.cargo/registry/src/x/bytes-1/lib.rs\0",
        f"{INFO}/sboms/spark-effects.cyclonedx.json": json.dumps(list(PARTS)).encode(),
    }
    path = tmp_path / "spark_effects-0.1.0-cp310-abi3-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        record = [recorded(name, data) for name, data in files.items()]
        archive.writestr(f"{INFO}/RECORD", "\n".join([*record, f"{INFO}/RECORD,,"]) + "\n")
    return path


def test_the_list_of_parts_names_ours_as_it_names_others(wheel):
    release.rewrite(wheel)
    with zipfile.ZipFile(wheel) as archive:
        parts = archive.read(f"{INFO}/sboms/spark-effects.cyclonedx.json")
        assert json.loads(parts) == list(PARTS.values())
        record = archive.read(f"{INFO}/RECORD").decode().splitlines()
        others = [name for name in archive.namelist() if not name.endswith("RECORD")]
        assert record == [*(recorded(name, archive.read(name)) for name in others), f"{INFO}/RECORD,,"]
    assert [path.name for path in wheel.parent.iterdir()] == [wheel.name]


def test_what_is_left_is_found(wheel):
    home = pathlib.Path("/home/somebody")
    found = list(release.told(wheel, [home, pathlib.Path("/")]))
    assert len(found) == 3
    assert "_native.abi3.so names '/home/somebody/.cargo/registry" in found[0]
    release.rewrite(wheel)
    assert len(list(release.told(wheel, [home]))) == 1
    assert list(release.told(wheel, [pathlib.Path("/home/nobody")])) == []
