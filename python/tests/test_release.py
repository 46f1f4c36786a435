"""The wheel that is shipped says nothing of the machine that built it, and needs no new glibc."""

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
    found = list(release.paths_of_this_machine(wheel, [home, pathlib.Path("/")]))
    assert len(found) == 3
    assert "_native.abi3.so names '/home/somebody/.cargo/registry" in found[0]
    release.rewrite(wheel)
    assert len(list(release.paths_of_this_machine(wheel, [home]))) == 1
    assert list(release.paths_of_this_machine(wheel, [pathlib.Path("/home/nobody")])) == []


@pytest.mark.parametrize(
    ("platform", "versions", "found"),
    [
        ("manylinux_2_28_x86_64", ["2.2.5", "2.28"], 0),
        ("manylinux_2_17_aarch64", ["2.17"], 0),
        ("manylinux_2_28_x86_64", ["2.28", "2.34", "2.39"], 2),
        ("manylinux_2_34_x86_64", ["2.28"], 1),
        ("linux_x86_64", ["2.28"], 1),
        ("macosx_11_0_arm64", [], 0),
    ],
)
def test_a_wheel_that_needs_a_newer_glibc_is_refused(tmp_path, platform, versions, found):
    path = tmp_path / f"spark_effects-0.1.0-cp310-abi3-{platform}.whl"
    names = b"".join(f"GLIBC_{version}".encode() + b"\0" for version in versions)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spark_effects/_native.abi3.so", b"\x7fELF\0libc.so.6\0" + names)
        archive.writestr("spark_effects/notes.txt", b"\0GLIBC_2.99\0")
    assert len(list(release.too_new(path))) == found


def test_a_real_library_names_the_glibc_it_needs(tmp_path):
    import spark_effects._native

    library = pathlib.Path(spark_effects._native.__file__)
    path = tmp_path / "spark_effects-0.1.0-cp310-abi3-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spark_effects/_native.abi3.so", library.read_bytes())
    before, release.NEWEST_GLIBC = release.NEWEST_GLIBC, 2
    try:
        found = list(release.too_new(path))
    finally:
        release.NEWEST_GLIBC = before
    assert any("needs glibc 2.17" in line for line in found) or library.read_bytes()[:4] != b"\x7fELF"
