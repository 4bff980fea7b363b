"""A saved model to a model hub: its own files and its card, nothing else of the folder."""

from __future__ import annotations

from pathlib import Path

from biomtl.checkpoints.card import write_card
from biomtl.errors import InputError
from biomtl.model import MANIFEST, MultiTaskModel, model_folder, read_manifest
from biomtl.results import Results
from biomtl.storage import checksums

CARD = "README.md"


def push(folder: str | Path, repo: str, *, public: bool = False, message: str | None = None) -> str:
    """Upload a model to the hub, into a repository that is made if it isn't there.

    The hub's address and the token are ``huggingface_hub``'s own: ``HF_ENDPOINT``, ``HF_TOKEN`` or ``hf auth login``.
    A folder without a model card gets one first.

    Args:
        folder: a model or run folder.
        repo: the repository, as ``OWNER/NAME``.
        public: whether a new repository is public; one that exists stays as it is.
        message: the message of the commit.

    Returns:
        The repository's address.

    Raises:
        InputError: no saved model or changed files; a wrong name; no token, no rights or no connection.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    place = model_folder(folder)
    manifest = read_manifest(place)
    if not manifest["files"]:
        fix = "load it and save it again with this version"
        raise InputError("a model of a version that listed no files", path=place / MANIFEST, fix=fix)
    checksums.verify(place, manifest["files"])
    if not (place / CARD).is_file():
        model = MultiTaskModel.from_pretrained(place)
        results, length = Results.of_model(folder), model.processor.max_length
        write_card(place, "biomtl", list(model.tasks.values()), model.provenance, max_length=length, results=results)
    api = HfApi(library_name="biomtl")
    try:
        made = api.create_repo(repo, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=place,
            allow_patterns=[*manifest["files"], MANIFEST, CARD],
            commit_message=message or "Upload a model of biomtl",
        )
    except HFValidationError as error:
        raise InputError(f"repository {repo!r}", expected="OWNER/NAME of letters, digits, '-', '_', '.'") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        fix = "check the token (`hf auth login`), the name and the connection"
        raise InputError(f"{repo}: the hub refused it ({said})", fix=fix) from error
    return str(made)
