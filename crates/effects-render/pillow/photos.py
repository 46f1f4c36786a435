"""What the renderer reads in photos of every kind, against Pillow.

    cargo run -p effects-render --example photo_corpus -- target/photos
    python crates/effects-render/pillow/photos.py target/photos

It prints two tables: JPEG files by colours, sampling and scans (the restarts and sizes of each are in one
row together), and odd photos one by one. It exits 1 where the mean difference to Pillow is over 1 of 255,
and where one of the two reads a photo that is whole and the other does not.
"""

from __future__ import annotations

import io
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps


# Where Pillow reads less, so that there is nothing to compare.
READ_HERE_ALONE = {
    "format-float.tif": "it knows no colours as floats",
    "turned-raw-profile-app1.png": "it does not look for the orientation there",
}


def main(folder: Path) -> int:
    return max(jpegs(folder / "jpegs"), odd_photos(folder / "odd"))


def jpegs(folder: Path) -> int:
    rows = defaultdict(list)
    for file in sorted(folder.glob("*.jpg")):
        colours, sampling, scans = file.stem.split("-")[:3]
        difference = np.abs(ours(file) - pixels(Image.open(file)))
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
    print(f"\n{files} files; the worst mean difference is {worst:.3f}\n")
    return int(files == 0 or worst > 1)


def odd_photos(folder: Path) -> int:
    print("| photo | here | Pillow | mean difference |")
    print("| --- | --- | --- | --- |")
    failed = 0
    files = [file for file in sorted(folder.iterdir()) if file.suffix not in (".ppm", ".txt")]
    for file in files:
        said = file.with_name(file.name + ".txt").read_text()
        read = file.with_name(file.name + ".ppm").exists()
        strict, theirs = with_pillow(file, truncated=False)
        if theirs is None and read:
            # Pillow reads photos without their end only if it is told to.
            _, theirs = with_pillow(file, truncated=True)
        mean = ""
        if file.name in READ_HERE_ALONE:
            strict = READ_HERE_ALONE[file.name]
            failed = failed or not read
        elif read and theirs is not None:
            shape, other = ours(file).shape, theirs.shape
            difference = np.abs(ours(file) - theirs).mean() if shape == other else 255.0
            mean, failed = f"{difference:.3f}", failed or difference > 1
        elif read or (theirs is not None and not file.name.startswith("cut-")):
            failed = 1
        here = ("read; " + said if said else "read") if read else said
        print(f"| {file.name} | {here} | {strict} | {mean} |")
    return int(failed or not files)


def with_pillow(file: Path, truncated: bool) -> tuple[str, np.ndarray | None]:
    ImageFile.LOAD_TRUNCATED_IMAGES = truncated
    try:
        with Image.open(file) as image:
            image.load()
            profile = image.info.get("icc_profile")
            upright = ImageOps.exif_transpose(image).convert("RGB")
            if profile:
                source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
                upright = ImageCms.profileToProfile(upright, source, ImageCms.createProfile("sRGB"))
            return "read", pixels(upright)
    except (OSError, SyntaxError) as error:
        return str(error).replace(str(file), file.name), None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def ours(file: Path) -> np.ndarray:
    return pixels(Image.open(file.with_name(file.name + ".ppm")))


def pixels(image: Image.Image) -> np.ndarray:
    with image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
