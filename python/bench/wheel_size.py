"""The size of a wheel and of its parts: ``python python/bench/wheel_size.py WHEEL [--library FILE]``.

The wheel alone gives the size of its files. With the library of the same build before it was stripped,
the code is shared out by the crate that each function and constant comes from::

    cargo build --profile dist -p spark-effects --config profile.dist.strip=false
    python python/bench/wheel_size.py WHEEL --library target/dist/lib_native.so

What a generic function of the standard library was made for is named in its symbol, and it counts
there. Drawings are found in the library byte by byte. Constants without a name, tables for unwinding
and everything shared by all parts stand in a line of their own.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import zipfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_BYTES = 12 * 1024 * 1024

# The crates of each part; whatever else there is serves several of them.
PARTS = {
    "clients": [
        "effects_client", "effects_core", "effects_reqwest", "encoding_rs", "h2", "hyper_rustls",
        "hyper_util", "reqwest", "ring", "rustls", "rustls_native_certs", "rustls_pki_types",
        "rustls_platform_verifier", "tokio_rustls", "tower", "tower_http", "url", "webpki",
        "async_compression", "flate2", "idna", "icu_*", "httpdate", "openssl_probe", "sha2",
    ],
    "journal": ["effects_journal", "libsqlite3_sys", "rusqlite", "sqlite3", "hashlink", "fallible_*"],
    "emulator, without the renderer": [
        "axum", "axum_core", "effects_emulator", "matchit", "toml", "toml_*", "winnow", "serde_path_to_error",
        "serde_urlencoded",
    ],
    "renderer": [
        "effects_render", "fdeflate", "image", "image_webp", "kurbo", "moxcms", "pxfm", "resvg", "rgb",
        "roxmltree", "simplecss", "siphasher", "svgtypes", "tiny_skia", "tiny_skia_path", "usvg",
        "xmlwriter", "zune_core", "zune_jpeg", "byteorder_lite", "data_url", "strict_num", "imagesize",
        "euclid", "png", "weezl", "gif",
    ],
    "command": [
        "anstream", "anstyle", "anstyle_*", "clap", "clap_*", "console", "effects_cli", "indicatif",
        "signal_hook", "strsim", "terminal_size", "tracing_subscriber", "textwrap",
    ],
    "binding": ["_native", "pyo3", "pyo3_ffi"],
}  # fmt: skip


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("wheel", type=pathlib.Path)
    options.add_argument("--library", type=pathlib.Path, help="the library before it was stripped")
    chosen = options.parse_args()
    library = wheel_table(chosen.wheel)
    if chosen.library:
        parts_table(chosen.library, library)


def wheel_table(wheel):
    """Prints the wheel's files; returns the bytes of its library."""
    size = wheel.stat().st_size
    verdict = "reached" if size <= MOST_BYTES else "missed"
    print(f"\n{wheel.name}: {mebi(size)} MiB; goal: at most {mebi(MOST_BYTES)} MiB: {verdict}\n")
    print("| file | KiB | packed KiB |\n|---|---:|---:|")
    library, rest = b"", [0, 0]
    with zipfile.ZipFile(wheel) as archive:
        for file in archive.infolist():
            if file.filename.endswith(".so"):
                library = archive.read(file)
                print(f"| {file.filename} | {kibi(file.file_size)} | {kibi(file.compress_size)} |")
            else:
                rest[0] += file.file_size
                rest[1] += file.compress_size
    print(f"| everything else | {kibi(rest[0])} | {kibi(rest[1])} |")
    return library


def parts_table(path, stripped):
    """Prints what each part adds to the library."""
    sizes = collections.Counter()
    unknown = collections.Counter()
    for size, name in symbols(path):
        part = part_of(name)
        sizes[part] += size
        if part == "shared, and the standard library":
            unknown[crate_of(name) or "std"] += size
    sizes["renderer"] += drawings(path.read_bytes())
    named = sum(sizes.values())
    sizes["without a name (constants, unwinding, relocations)"] = max(len(stripped) - named, 0)
    packed = len(zlib.compress(stripped, 6)) / len(stripped)
    print(f"\nThe library by part; packed, the whole takes {packed:.0%} of its size\n")
    print("| part | KiB | share |\n|---|---:|---:|")
    for part, size in sizes.most_common():
        print(f"| {part} | {kibi(size)} | {size / len(stripped):.0%} |")
    emulator = sizes["renderer"] + sizes["emulator, without the renderer"]
    parts = named - sizes["shared, and the standard library"]
    print(f"\nOf what belongs to a part, the emulator with its renderer is {emulator / parts:.0%}.")
    largest = ", ".join(f"{crate} {kibi(size)}" for crate, size in unknown.most_common(8))
    print(f"Largest of what is shared, in KiB: {largest}.")


def symbols(path):
    """Size and name of everything that has a name."""
    listed = subprocess.run(
        ["nm", "--print-size", "--demangle", "--defined-only", path],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    seen = set()
    for line in listed.splitlines():
        # What has no size has no size column either, and names may hold spaces.
        found = re.fullmatch(r"([0-9a-f]+) ([0-9a-f]{16}) (\S) (.+)", line)
        # Several names of one place count once; what takes no room in the file does not count.
        if found and found[3] not in "bB" and found[1] not in seen:
            seen.add(found[1])
            yield int(found[2], 16), found[4]


def crate_of(name):
    """The crate a symbol was made for: the first in its name that is not the standard library's."""
    for crate in re.findall(r"(?<![\w:.])([A-Za-z_]\w*)(?:\[[0-9a-f]+\])?::", name):
        if crate not in ("core", "alloc", "std", "hashbrown"):
            return crate
    for prefix in ("sqlite3", "ring_core"):
        if name.lower().startswith(prefix):
            return prefix.removesuffix("_core")
    return None


def part_of(name):
    crate = crate_of(name)
    for part, crates in PARTS.items():
        for pattern in crates:
            if crate == pattern or (pattern.endswith("*") and (crate or "").startswith(pattern[:-1])):
                return part
    return "shared, and the standard library"


def drawings(library):
    """Bytes of the renderer's scenes that are in the library as they are."""
    files = (ROOT / "crates" / "effects-render" / "scenes").rglob("*.svg")
    return sum(len(data) for data in (file.read_bytes() for file in files) if data in library)


def mebi(size):
    return f"{size / 1024 / 1024:.1f}"


def kibi(size):
    return f"{size / 1024:,.0f}"


if __name__ == "__main__":
    main()
