"""`plain_image`: the input picture in every form it comes in (URL, path, bytes, file, Pillow image,
array), as plain values for the native half; `_request.py` calls it. `photo_path`: the file that the
picture came from, which no saved picture may replace; `_plans.py` and `_job.py` call it.
"""

import os

from ._values import log

__all__ = ["photo_path", "plain_image"]


def plain_image(image):
    """The picture as the native half reads it.

    A ``str`` with ``://`` in it, or one that begins with ``http:``, ``https:`` or ``data:``, is a URL;
    any other ``str`` is a path.
    """
    if image is None:
        return ""
    if isinstance(image, str):
        is_url = not image or "://" in image or image.lower().startswith(("http:", "https:", "data:"))
        # A tuple of one marks a path, which as plain text would be a URL.
        return _url(image) if is_url else (image,)
    if isinstance(image, os.PathLike):
        return (_path(image),)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return (bytes(image), "")
    # By what they can do, so that neither Pillow nor numpy is imported or needed.
    if hasattr(image, "tobytes") and hasattr(image, "mode") and hasattr(image, "size"):
        return _pil(image)
    if hasattr(image, "tobytes") and hasattr(image, "shape") and hasattr(image, "dtype"):
        return _array(image)
    if hasattr(image, "read"):
        return _file(image)
    raise TypeError(
        f"image is {type(image).__name__!r}: give a URL, a path, bytes, a binary file, a PIL image, "
        f"or a numpy array of {_SHAPES}"
    )


def photo_path(image):
    """The file a picture comes from, whole; ``None`` where it comes from none that is known."""
    if isinstance(image, (str, os.PathLike)):
        plain = plain_image(image)
        path = plain[0] if isinstance(plain, tuple) else None
    elif isinstance(image, (bytes, bytearray, memoryview)):
        path = None
    else:
        # A file that is open, or what Pillow opened one for.
        path = getattr(image, "name", None) or getattr(image, "filename", None)
    # Absolute, since the program may be in another folder when the picture is saved.
    return os.path.abspath(path) if path and isinstance(path, str) else None


def _url(image):
    try:
        # A lone surrogate, which a file name that is no UTF-8 brings, cannot be sent.
        image.encode()
    except UnicodeEncodeError as error:
        raise TypeError(f"image {image!r} is no text that can be sent: {error.reason}") from None
    return str(image)


def _path(image):
    path = os.fsdecode(image)
    for scheme in ("http:/", "https:/"):
        if path.startswith(scheme):
            raise TypeError(
                f"image is the path {path!r}: a Path swallows one slash of a URL, so give URLs as text"
            )
    return path


def _file(image):
    import io

    # An upload of Starlette and FastAPI is read with await; the file in it is not.
    inner = getattr(image, "file", None)
    if hasattr(inner, "read") and hasattr(image, "filename"):
        data, _ = _file(inner)
        return (data, image.filename if isinstance(image.filename, str) else "")
    if getattr(image, "closed", False) is True:
        raise ValueError("the image file is closed: open it again, or give its path")
    try:
        data = image.read()
    except io.UnsupportedOperation:
        raise TypeError("the image file cannot be read: open it with mode 'rb'") from None
    if isinstance(data, str):
        raise TypeError("the image file was opened as text: open it with mode 'rb'")
    if hasattr(data, "__await__"):
        # Closed, or Python warns of a coroutine that was never awaited.
        if hasattr(data, "close"):
            data.close()
        raise TypeError("the image file is read with await: give the bytes it gives")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"the image file gave {type(data).__name__!r}: its read() has to give bytes")
    if not data and _position(image):
        raise ValueError("the image file has 0 bytes left: seek(0)?")
    name = getattr(image, "name", None)
    return (bytes(data), name if isinstance(name, str) else "")


def _position(image):
    try:
        return image.tell()
    except (AttributeError, OSError):
        return 0


def _pil(image):
    mode = image.mode
    if mode in ("I", "F"):
        # Only the program that made the image knows whether white is 255, 65535 or 1.0.
        raise TypeError(f"the PIL image has mode {mode!r}, whose range is not known: convert it to 'RGB'")
    # Turned here, since the pixels travel without the EXIF block that says how they are meant.
    image = _upright(image)
    profile = image.info.get("icc_profile") or None
    if mode.startswith("I;16"):
        image = _upper_half(image)
    # A picture without an alpha band may still have one transparent colour, which `info` names.
    elif mode not in ("L", "RGB", "RGBA") or "transparency" in image.info:
        alpha = mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info
        # A profile of other colours than these are means nothing for what they become.
        if mode not in ("P", "PA", "RGB", "RGBa", "RGBX"):
            image, profile = _srgb(image, profile) if profile and not alpha else image, None
        try:
            image = image.convert("RGBA" if alpha else "RGB")
        except ValueError as error:
            raise TypeError(f"the PIL image has mode {mode!r}: convert it to 'RGB' ({error})") from None
    width, height = image.size
    return (width, height, image.tobytes(), profile)


def _upright(image):
    """As its EXIF block says; an image that was made, and not opened, has none."""
    if hasattr(image, "getexif") and image.getexif().get(_ORIENTATION, 1) != 1:
        from PIL import ImageOps

        return ImageOps.exif_transpose(image)
    return image


def _srgb(image, profile):
    """The colours that a profile of inks or brightness means; as Pillow shows them where it fails."""
    import io

    try:
        from PIL import ImageCms
    except ImportError as error:
        # A Pillow may be built without it.
        return _without_profile(image, error)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    # The module may be there without the library that it is about: its use then is an `ImportError`.
    except (ImportError, OSError, ValueError, ImageCms.PyCMSError) as error:
        return _without_profile(image, error)


def _without_profile(image, error):
    log().warning("the colour profile of the PIL image is left out: %s", error)
    return image


def _upper_half(image):
    """Sixteen bits of grey as eight: `convert` would make white of all but the darkest."""
    import sys

    from PIL import Image

    big = image.mode == "I;16B" or (image.mode == "I;16N" and sys.byteorder == "big")
    grey = image.tobytes()[0 if big else 1 :: 2]
    return Image.frombytes("L", image.size, grey)


def _array(array):
    shape, kind = tuple(array.shape), str(array.dtype)
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if not is_image or kind not in ("uint8", "float16", "float32", "float64"):
        raise TypeError(f"image is an array of shape {shape} and type {kind}: give {_SHAPES}")
    # An empty array has no least value; the native half refuses it.
    if kind != "uint8" and array.size:
        low, high = float(array.min()), float(array.max())
        if not 0 <= low <= high <= 1:
            raise TypeError(
                f"image is an array of {kind} from {low:g} to {high:g}: give floats from 0 to 1, or uint8"
            )
        log().info("the array of %s is taken as brightness from 0 to 1", kind)
        # float16 would round the larger half of them.
        array = (array.astype("float32") * 255).round().astype("uint8")
    # Row by row, however the array lies in memory: `tobytes` follows what it shows.
    return (shape[1], shape[0], array.tobytes(), None)


_SHAPES = "height x width, or height x width x 1, 3 or 4, of uint8 or of floats from 0 to 1"
_ORIENTATION = 0x0112
