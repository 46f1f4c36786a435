"""The input picture in every form it comes in."""

import os

__all__ = ["photo_path", "plain_image"]


def plain_image(image):
    """The picture as the native half reads it.

    A ``str`` with ``://`` in it, or a ``data:`` URL, is a URL; any other ``str`` is a path.
    """
    if image is None:
        return ""
    if isinstance(image, str):
        is_url = not image or "://" in image or image.startswith("data:")
        return _url(image) if is_url else (image,)
    if isinstance(image, os.PathLike):
        return (_path(image),)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return (bytes(image), "")
    if hasattr(image, "tobytes") and hasattr(image, "mode") and hasattr(image, "size"):
        return _pil(image)
    if hasattr(image, "tobytes") and hasattr(image, "shape") and hasattr(image, "dtype"):
        return _array(image)
    if hasattr(image, "read"):
        return _file(image)
    raise TypeError(
        f"image is {type(image).__name__!r}: give a URL, a path, bytes, a binary file, a PIL image, "
        "or a numpy array of height x width x 3 or 4 of uint8"
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
    return os.path.abspath(path) if path and isinstance(path, str) else None


def _url(image):
    try:
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

    if getattr(image, "closed", False) is True:
        raise ValueError("the image file is closed: open it again, or give its path")
    try:
        data = image.read()
    except io.UnsupportedOperation:
        raise TypeError("the image file cannot be read: open it with mode 'rb'") from None
    if isinstance(data, str):
        raise TypeError("the image file was opened as text: open it with mode 'rb'")
    if hasattr(data, "__await__"):
        if hasattr(data, "close"):
            data.close()
        raise TypeError("the image file is read with await: give the bytes it gives")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"the image file gave {type(data).__name__!r}: its read() has to give bytes")
    name = getattr(image, "name", None)
    return (bytes(data), name if isinstance(name, str) else "")


def _pil(image):
    mode = image.mode
    if mode.startswith("I;16"):
        image = _upper_half(image)
    elif mode in ("I", "F"):
        # Whether white is 255, 65535 or 1.0 is known to whoever made it alone.
        raise TypeError(f"the PIL image has mode {mode!r}, whose range is not known: convert it to 'RGB'")
    elif mode not in ("RGB", "RGBA"):
        alpha = mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info
        try:
            image = image.convert("RGBA" if alpha else "RGB")
        except ValueError as error:
            raise TypeError(f"the PIL image has mode {mode!r}: convert it to 'RGB' ({error})") from None
    width, height = image.size
    return (width, height, image.tobytes())


def _upper_half(image):
    """Sixteen bits of grey as eight: `convert` would make white of all but the darkest."""
    import sys

    from PIL import Image

    big = image.mode == "I;16B" or (image.mode == "I;16N" and sys.byteorder == "big")
    grey = image.tobytes()[0 if big else 1 :: 2]
    return Image.frombytes("L", image.size, grey).convert("RGB")


def _array(array):
    shape = tuple(array.shape)
    if len(shape) != 3 or shape[2] not in (3, 4) or str(array.dtype) != "uint8":
        raise TypeError(
            f"image is an array of shape {shape} and type {array.dtype}: give height x width x 3 or 4 "
            "of uint8"
        )
    height, width, _ = shape
    return (width, height, array.tobytes())
