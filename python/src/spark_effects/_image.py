"""The input picture in every form it comes in."""

import os

__all__ = ["plain_image"]


def plain_image(image):
    """The picture as the native half reads it.

    A ``str`` with ``://`` in it, or a ``data:`` URL, is a URL; any other ``str`` is a path.
    """
    if image is None:
        return ""
    if isinstance(image, str):
        is_url = not image or "://" in image or image.startswith("data:")
        return str(image) if is_url else (image,)
    if isinstance(image, os.PathLike):
        return (os.fspath(image),)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return (bytes(image), "")
    if hasattr(image, "tobytes") and hasattr(image, "mode") and hasattr(image, "size"):
        return _pil(image)
    if hasattr(image, "tobytes") and hasattr(image, "shape") and hasattr(image, "dtype"):
        return _array(image)
    if hasattr(image, "read"):
        data = image.read()
        if not isinstance(data, bytes):
            raise TypeError("the image file was opened as text: open it with mode 'rb'")
        name = getattr(image, "name", None)
        return (data, name if isinstance(name, str) else "")
    raise TypeError(
        f"image is {type(image).__name__!r}: give a URL, a path, bytes, a binary file, a PIL image, "
        "or a numpy array of height x width x 3 or 4 of uint8"
    )


def _pil(image):
    if image.mode not in ("RGB", "RGBA"):
        alpha = "A" in image.mode or "transparency" in image.info
        image = image.convert("RGBA" if alpha else "RGB")
    width, height = image.size
    return (width, height, image.tobytes())


def _array(array):
    shape = tuple(array.shape)
    if len(shape) != 3 or shape[2] not in (3, 4) or str(array.dtype) != "uint8":
        raise TypeError(
            f"the array has shape {shape} and type {array.dtype}: give height x width x 3 or 4 of uint8"
        )
    height, width, _ = shape
    return (width, height, array.tobytes())
