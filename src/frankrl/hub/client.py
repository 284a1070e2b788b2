"""The client of the Hub, and its errors in one sentence."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from frankrl.core.errors import FrankError, HubError, MissingExtraError, SettingError, check_type
from frankrl.core.text import shown

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 401, 403, 404, 429


def client() -> "HfApi":
    """The client, with the endpoint and the token that the user has set for it.

    Raises:
        MissingExtraError: the package `huggingface_hub` is not installed.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingExtraError("frank hub", "huggingface_hub", "hub") from error
    return HfApi(library_name="frankrl")


def check_repository(repository: str) -> None:
    """Refuse what cannot be a repository's name.

    Raises:
        SettingError: it is none.
    """
    check_type(repository, "repository", str, "the name of a repository on the Hub, USER/NAME")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        if repository.count("/") != 1:
            raise HFValidationError("there is no single '/' in it")
        validate_repo_id(repository)
    except HFValidationError as error:
        reason = " ".join(str(error).split())
        raise SettingError(
            f"{shown(repository)!r} names no repository: give USER/NAME, as in "
            f"'jane/lander' ({reason})"
        ) from None


def check_token(api: "HfApi", repository: str) -> None:
    """Find out whether the Hub knows the user, before any work is done.

    Raises:
        HubError: there is no token, or the Hub does not accept it.
    """
    with hub_errors(api, repository):
        api.whoami()


@contextlib.contextmanager
def hub_errors(api: "HfApi", repository: str) -> Iterator[None]:
    """Within this context, what the client raises becomes a `HubError` of one sentence.

    The client shows no bars of its own.
    """
    from huggingface_hub import utils

    bars_are_shown = not utils.are_progress_bars_disabled()
    try:
        if bars_are_shown:
            utils.disable_progress_bars()
        yield
    except FrankError:
        raise
    except Exception as error:
        raise HubError(_sentence(error, api.endpoint, repository)) from error
    finally:
        if bars_are_shown:
            utils.enable_progress_bars()


def _sentence(error: BaseException, endpoint: str, repository: str) -> str:
    from huggingface_hub import errors

    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        # The client says which file it was.
        return f"{_text(error)} {_sentence(error.__cause__, endpoint, repository)}"
    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"there is no token of {endpoint} on this machine: {_LOG_IN}"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{endpoint} is not asked because HF_HUB_OFFLINE is set: unset it"
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(error, endpoint, repository)
    if isinstance(error, errors.LocalEntryNotFoundError) or _is_of_network(error):
        return f"{endpoint} cannot be reached ({_text(error)}): check the network, then try again"
    if isinstance(error, OSError) and error.strerror:
        place = f" {error.filename}" if error.filename else ""
        return f"a file cannot be written{place}: {error.strerror}"
    return f"{endpoint} and {repository}: {type(error).__name__}: {_text(error)}"


def _refusal(error: Exception, endpoint: str, repository: str) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    place = f"{endpoint}/{repository}"
    if isinstance(error, errors.GatedRepoError):
        return f"{place} is gated: accept its conditions on that page first, and {_LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no repository {place}; if it is private, {_LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{place} has no such revision: name a branch, a tag or a commit of it"
    if status == _UNAUTHORIZED:
        return f"{endpoint} does not accept the token: {_LOG_IN}"
    if status == _FORBIDDEN:
        return (
            f"the token may not do that with {place} ({_text(error)}): use a token with the right "
            "to write there"
        )
    if status == _NOT_FOUND:
        return f"{place} lacks what was asked for ({_text(error)})"
    if status == _TOO_MANY:
        return f"{endpoint} has had too many requests: try again in a few minutes"
    return f"{endpoint} refused a request for {repository} ({_text(error)}): try again later"


def _is_of_network(error: BaseException) -> bool:
    """Whether an error comes from the connection; the HTTP library differs between versions."""
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith(
        ("httpx", "requests", "urllib3")
    )


def _text(error: BaseException) -> str:
    """The first sentence of an error's text, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0] if lines else type(error).__name__)
