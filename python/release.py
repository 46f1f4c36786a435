"""Builds the wheel that is shipped (`main`, ``--out``): it says nothing of the machine that built it, and
runs on older ones. A maintainer runs it for a release; ``--check`` looks at a finished wheel.

    python python/release.py --out dist                # needs: pip install 'maturin>=1.9,<2' ziglang
    python python/release.py --check dist/WHEEL        # looks only

`pip install ./python` builds the same code, but quickly; this builds it with the profile ``dist``, which
optimises all of it. rustc writes the paths of the libraries' sources into what it builds, for its
messages, and maturin writes the workspace's into the list of parts (the SBOM). On the machine they were
built on they are at home. Here the first are replaced on the way (``--remap-path-prefix``, in a target
folder of its own, since other flags build everything anew), the second in the finished wheel, and then
every file of it is searched for what is left.

On Linux it is linked by zig against glibc 2.28, the oldest that systems in use have (``manylinux_2_28``),
whatever this machine has; a wheel that asks for a newer one is refused.
"""

import argparse
import base64
import hashlib
import os
import pathlib
import platform
import re
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "shipped" / "wheels")
    parser.add_argument("--check", type=pathlib.Path, metavar="WHEEL", help="check a wheel, build none")
    parser.add_argument("maturin", nargs="*", help="options for `maturin build`, after --")
    options = parser.parse_args()
    wheels = [options.check] if options.check else built(options.out, options.maturin)
    found = [line for wheel in wheels for line in (*paths_of_this_machine(wheel), *too_new(wheel))]
    good = f"nothing of this machine, and no glibc after 2.{NEWEST_GLIBC}"
    print("\n".join(found or [f"{wheel}: {good}" for wheel in wheels]))
    return 1 if found else 0


def places():
    """The folders of this machine that a build could name, the innermost first."""
    home = pathlib.Path.home()
    cargo = pathlib.Path(os.environ.get("CARGO_HOME", home / ".cargo"))
    rust = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    return [cargo, pathlib.Path(rust.stdout.strip()), ROOT, home]


def built(out, extra):
    """Builds the wheel, and takes the workspace's paths out of its list of parts."""
    cargo, rust, _, home = places()
    flags = os.environ.get("CARGO_ENCODED_RUSTFLAGS", "\x1f".join(os.environ.get("RUSTFLAGS", "").split()))
    # The last that fits is taken: the outermost comes first.
    remapped = [(home, "home"), (ROOT, "effects"), (rust, "rust"), (cargo / "registry" / "src", "crates")]
    remapped = [f"--remap-path-prefix={place}=/{name}" for place, name in remapped]
    environment = {
        **os.environ,
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join([*filter(None, flags.split("\x1f")), *remapped]),
        "CARGO_TARGET_DIR": str(ROOT / "target" / "shipped"),
    }
    command = [sys.executable, "-m", "maturin", "build", "--profile", "dist", "--locked"]
    if platform.system() == "Linux":
        # maturin looks for zig as a module of the Python that PATH finds.
        folders = [str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", "")]
        environment["PATH"] = os.pathsep.join(folders)
        command += ["--zig", "--compatibility", f"manylinux_2_{NEWEST_GLIBC}"]
    command += ["--out", str(out.resolve()), *extra]
    for wheel in out.glob("*.whl"):
        wheel.unlink()
    subprocess.run(command, check=True, cwd=ROOT / "python", env=environment)
    wheels = sorted(out.glob("*.whl"))
    for wheel in wheels:
        rewrite(wheel)
    return wheels


def rewrite(wheel):
    """Names the workspace's own crates in the list of parts as all others are, and sums up anew."""
    fresh = wheel.with_suffix(".part")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as new:
        sums = {}
        for entry in old.infolist():
            data = old.read(entry)
            if "/sboms/" in entry.filename:
                data = plain(data.decode()).encode()
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                sums[entry.filename] = f"{entry.filename},sha256={digest},{len(data)}"
            if entry.filename.endswith(".dist-info/RECORD"):
                lines = data.decode().splitlines()
                data = "".join(sums.get(line.split(",")[0], line) + "\n" for line in lines).encode()
            new.writestr(entry, data)
    os.replace(fresh, wheel)


def plain(text):
    text = re.sub(r"path\+file://[^\"#]*/([^/\"#]+)#(\d[^\"]*)", r"pkg:cargo/\1@\2", text)
    text = re.sub(r"path\+file://[^\"#]*#([^\"@]+)@([^\"]*)", r"pkg:cargo/\1@\2", text)
    return re.sub(r"\?download_url=file:[^\"#]*", "", text)


def paths_of_this_machine(wheel, folders=None):
    """What a wheel's files still say of this machine, one line for each file and folder."""
    folders = [place for place in folders or places() if len(place.parts) > 1]
    needles = {f"{place}/".encode() for place in folders} | {b"path+file:", b"download_url=file:"}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            for needle in sorted(needles):
                at = data.find(needle)
                if at >= 0:
                    words = re.match(rb"[\x20-\x7e]*", data[at : at + 120]).group().decode()
                    yield f"{wheel.name}: {name} names {words!r} ({data.count(needle)} times {needle!r})"


def too_new(wheel):
    """What of a wheel needs a newer glibc than it may, or says so by its name; one line each."""
    named = re.search(r"manylinux_2_(\d+)_", wheel.name)
    if "linux" in wheel.name and (named is None or int(named.group(1)) > NEWEST_GLIBC):
        yield f"{wheel.name}: its name has to say manylinux_2_{NEWEST_GLIBC}, or an earlier one"
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if not data.startswith(b"\x7fELF"):
                continue
            # An ELF file names each version of glibc that its symbols need.
            needed = {int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", data)}
            for minor in sorted(needed):
                if minor > NEWEST_GLIBC:
                    yield f"{wheel.name}: {name} needs glibc 2.{minor}"


# Of the second part of its version.
NEWEST_GLIBC = 28


if __name__ == "__main__":
    sys.exit(main())
