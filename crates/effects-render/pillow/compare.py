"""How long the renderer and Pillow take over the same layers, side by side in one run.

In a virtual environment of its own, from the repository's root:

    python3 -m venv .venv && .venv/bin/pip install -qr crates/effects-render/pillow/requirements.txt \\
        && .venv/bin/python crates/effects-render/pillow/compare.py --out target/compared

Three templates are painted in turn by both, 1328x1328 unless told otherwise, in every round one after
the other on the same processor; the fastest of the rounds counts, in processor seconds of the one
thread that paints. Both start with the photo's bytes and end with the PNG's: decoding, the crop round
the subject, filters, art, shadows and encoding (the fast setting of each) are all counted, starting the
programs is not. Each side has painted once before, so that what is made once per process is there.

Both write PNG as fast as they can (`compress_level=1` is Pillow's fastest); the lengths stand in the
table so that neither is fast by writing more.

Without `--photo` it is `examples/chelsea.png` at 2048 pixels, as a JPEG. The pictures of both go into
`--out` side by side, for the eyes: the numbers mean nothing if they do not show the same.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import time
from pathlib import Path

# Before numpy is loaded: one thread each.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from PIL import Image

import layers
from looks import LOOKS

ROOT = Path(__file__).parents[3]


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    photo_path = options.photo or sample_photo(options.out)
    photo = photo_path.read_bytes()
    size = tuple(int(side) for side in options.size.split("x"))
    # One processor for both, so that neither is moved away from its caches.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"photo {len(photo) // 1000} kB, painting {options.size}, best of {options.rounds}")
    print(f"{'template':<34} {'Rust ms':>8} {'Pillow ms':>10} {'ratio':>6} {'Rust kB':>8} {'Pillow kB':>10}")
    ratios = []
    with Renderer(photo_path, options.size) as renderer:
        for name in LOOKS:
            ours, theirs = options.out / f"{name}-rust.png", options.out / f"{name}-pillow.png"
            paint_with_pillow(photo, name, size)
            renderer.paint(name, ours)
            best = [float("inf")] * 2
            for _ in range(options.rounds):
                took, ours_length = renderer.paint(name, ours)
                best[0] = min(best[0], took)
                took, png = paint_with_pillow(photo, name, size)
                best[1] = min(best[1], took)
            theirs.write_bytes(png)
            beside(ours, theirs).save(options.out / f"{name}.png", compress_level=1)
            ratios.append(best[1] / best[0])
            print(
                f"{name:<34} {best[0] * 1000:>8.1f} {best[1] * 1000:>10.1f} {ratios[-1]:>6.2f}"
                f" {ours_length // 1000:>8} {len(png) // 1000:>10}"
            )
    print(
        f"Pillow's time over the renderer's: least {min(ratios):.2f}, median {statistics.median(ratios):.2f}"
    )
    print(f"side by side (the renderer's left): {options.out}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The renderer and Pillow, side by side.")
    parser.add_argument("--photo", type=Path, help="a PNG, JPEG or WebP photo")
    parser.add_argument("--size", default="1328x1328", help="of the pictures, WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "target" / "compared", help="folder for the pictures"
    )
    return parser.parse_args()


def sample_photo(folder: Path) -> Path:
    """A photo as a phone takes it would be larger; this is as much as is painted from."""
    image = Image.open(ROOT / "examples" / "chelsea.png").convert("RGB")
    height = round(image.height * 2048 / image.width)
    path = folder / "photo.jpg"
    image.resize((2048, height), Image.Resampling.LANCZOS).save(path, quality=90)
    return path


def paint_with_pillow(photo: bytes, name: str, size: tuple[int, int]) -> tuple[float, bytes]:
    before = time.thread_time()
    png = layers.write(LOOKS[name](layers.read(photo), *size), name)
    return time.thread_time() - before, png


class Renderer:
    """The Rust program, started once and asked for picture after picture."""

    def __init__(self, photo: Path, size: str) -> None:
        build = [
            "cargo",
            "build",
            "--quiet",
            "--release",
            "-p",
            "effects-render",
            "--example",
            "paint_requests",
        ]
        subprocess.run(build, cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        program = target / "release" / "examples" / "paint_requests"
        self._process = subprocess.Popen(
            [program, photo, size], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        if self._process.wait() != 0:
            raise SystemExit("the renderer's program failed")

    def paint(self, name: str, path: Path) -> tuple[float, int]:
        """Processor seconds, and the bytes of the PNG that now is at the path."""
        self._process.stdin.write(f"{name} {path}\n")
        answer = self._process.stdout.readline().split()
        if len(answer) != 2:
            raise SystemExit(f"the renderer's program did not paint {name}")
        return float(answer[0]), int(answer[1])


def beside(left: Path, right: Path) -> Image.Image:
    pictures = [Image.open(io.BytesIO(path.read_bytes())).convert("RGB") for path in (left, right)]
    both = Image.new("RGB", (sum(picture.width for picture in pictures) + 20, pictures[0].height), "#ffffff")
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], (pictures[0].width + 20, 0))
    return both


if __name__ == "__main__":
    main()
