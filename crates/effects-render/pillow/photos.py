"""What the renderer reads in JPEG files of every kind, against Pillow.

    cargo run -p effects-render --example jpeg_corpus -- target/jpegs
    python crates/effects-render/pillow/photos.py target/jpegs

It prints a table of the mean and the largest difference by colours, sampling and scans, and exits 1 where
a file's mean difference is over 1 of 255. Each file's restarts and sizes are in one row together.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image


def main(folder: Path) -> int:
    rows = defaultdict(list)
    for file in sorted(folder.glob("*.jpg")):
        colours, sampling, scans = file.stem.split("-")[:3]
        with Image.open(file) as theirs, Image.open(file.with_suffix(".ppm")) as ours:
            theirs = np.asarray(theirs.convert("RGB"), dtype=np.int16)
            difference = np.abs(theirs - np.asarray(ours, dtype=np.int16))
        rows[colours, sampling, scans].append((difference.mean(), difference.max()))
    print("| colours | sampling | scans | files | mean difference, worst file | largest difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    worst = 0.0
    for (colours, sampling, scans), files in sorted(rows.items()):
        mean, largest = max(mean for mean, _ in files), max(largest for _, largest in files)
        worst = max(worst, mean)
        sampling = sampling.replace("_", " ")
        print(f"| {colours} | {sampling} | {scans} | {len(files)} | {mean:.3f} | {largest} |")
    files = sum(map(len, rows.values()))
    print(f"\n{files} files; the worst mean difference is {worst:.3f}")
    return int(files == 0 or worst > 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
