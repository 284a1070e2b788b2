"""Networks that Frank did not make, in ONNX: they are not translated yet."""

from frankrl.core.errors import SettingError
from frankrl.core.wording import option


def untranslatable(part: object) -> SettingError:
    """The error of a network, or a part of one, that has no translation here.

    A network of one's own is two functions of JAX. jax2onnx can translate such functions; it would
    be called in this file.
    """
    name = part if isinstance(part, str) else f"{type(part).__module__}.{type(part).__qualname__}"
    return SettingError(
        f"the network contains {name}, which is not one of Frank's own layers, so it cannot be "
        f"written as ONNX; {option('safetensors', 'FILE')} writes its parameters"
    )
