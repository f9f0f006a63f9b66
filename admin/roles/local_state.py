"""What a machine of its own keeps in its data directory: settings that must outlive a restart but that nobody chose.

`grosz up` needs no configuration, yet tokens in notices must verify after a restart and the catalogue must still be
there. A deployment of single roles sets these explicitly instead, since its roles do not share a disk.
"""

import ipaddress
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from core.bucket import Bucket, BucketPlace
from core.config import (
    METRICS_PORTS,
    AdminSettings,
    AdsSettings,
    CatalogueSettings,
    ConsentSettings,
    Settings,
    TrackSettings,
)
from core.disk import write_whole
from creatives.media.s3_store import MEDIA, BucketStore
from creatives.media.store import FolderStore
from creatives.pictures.keeping import PictureFolder
from creatives.preview.store import PreviewStore
from journal.archive import is_readable

_TOKEN_KEY_BYTES = 32

ENDPOINTS = "endpoints.json"
IN_FORCE = "in-force.json"
JOURNAL = "journal"
PEOPLE_KEY_FILE = "people.key"
_METRICS = "metrics of "  # before a role's name in the note


def media_store(settings: Settings, directory: Path) -> FolderStore:
    """The media of a data directory."""
    media = settings.media
    if not media.bucket:
        return FolderStore(directory / "media")
    place = BucketPlace(media.bucket, media.endpoint, media.region, media.access_key, media.secret_key, media.prefix)
    return BucketStore(directory / "media", directory / "media-cache", Bucket(place, MEDIA))


def media_folder(settings: Settings) -> FolderStore:
    """Where uploads are kept, which backups take along: a folder, or a bucket that all machines share."""
    return media_store(settings, Path(settings.data.directory).absolute())


def picture_folder(settings: Settings) -> PictureFolder:
    """Where scaled pictures of products are kept: they are made anew, so no backup takes them along."""
    return PictureFolder(Path(settings.data.directory).absolute() / "pictures")


def preview_folder(settings: Settings) -> PreviewStore:
    """Where pictures of creatives are kept; they can be made again, so no backup takes them."""
    return PreviewStore(Path(settings.data.directory).absolute() / "previews")


def complete(settings: Settings, redis_url: str) -> Settings:
    """The settings with everything filled in that a machine of its own can decide by itself."""
    directory = Path(settings.data.directory).absolute()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.stat().st_uid == os.geteuid():  # an older release left the mode of an existing directory as it was
        directory.chmod(0o700)
    replace = msgspec.structs.replace
    money, admin, telemetry = settings.money, settings.admin, settings.telemetry
    if not money.token_keys:
        money = replace(money, token_keys={"1": token_key(directory)})
    if not admin.database_url:
        admin = replace(admin, database_url=f"sqlite+aiosqlite:///{directory / 'grosz.sqlite'}")
    journal = settings.journal
    if not journal.directory and is_readable():  # without the extra `reports` nothing is kept
        journal = replace(journal, directory=str(directory / JOURNAL))
    if not journal.people_key:
        journal = replace(journal, people_key=kept_key(directory / PEOPLE_KEY_FILE))
    if not telemetry.run_directory:
        telemetry = replace(telemetry, run_directory=str(run_directory(directory)))
    return replace(
        settings,
        redis=replace(settings.redis, url=redis_url),
        money=money,
        admin=admin,
        telemetry=telemetry,
        journal=journal,
        data=replace(settings.data, directory=str(directory)),
    )


def token_key(directory: Path) -> str:
    """The hexadecimal key that signs tokens here; made at the first start, readable by this user only."""
    return kept_key(directory / "token.key")


def kept_key(path: Path) -> str:
    """The hexadecimal key that a file holds; made at the first start, readable by this user only."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        key = secrets.token_hex(_TOKEN_KEY_BYTES)
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())  # a key lost in a power cut would make every open notice worthless
    return key


def url_of(host: str, port: int) -> str:
    """Where something on this machine that listens on `host` is reached."""
    address = ipaddress.ip_address(host) if host[:1].isdigit() or ":" in host else None
    if address is not None and address.is_unspecified:  # all addresses: this machine's own is one of them
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def setup_url(settings: AdminSettings, token: str, running_at: str = "") -> str:
    """Where the first administrator is made with a setup token. `running_at`: the admin's URL, where it is known."""
    listens = running_at or url_of(settings.host or "0.0.0.0", settings.port)  # noqa: S104 - all addresses
    return f"{settings.public_url or listens}/setup?token={token}"


def endpoints_of(settings: Settings) -> dict[str, str]:
    """Role -> URL, when all roles run on this machine."""
    return {
        "admin": url_of(settings.admin.host, settings.admin.port),
        "worker": url_of(settings.worker.host, settings.worker.port),
        "tracker": url_of(settings.track.host, settings.track.port),
        "bidder": url_of(settings.bid.host, settings.bid.port),
    }


def metrics_of(settings: Settings) -> dict[str, str]:
    """Role -> URL below which its metrics are, when all roles run on this machine."""
    telemetry, found = settings.telemetry, endpoints_of(settings)
    if telemetry.own_listener:
        found |= {role: url_of(telemetry.host, getattr(telemetry, name)) for role, name in METRICS_PORTS.items()}
    return found


def write_endpoints(settings: Settings, roles: Sequence[str]) -> None:
    """Leave a note of where the roles of this run are reached, for commands like `grosz doctor`."""
    found = {role: url for role, url in endpoints_of(settings).items() if role in roles}
    found |= {_METRICS + role: url for role, url in metrics_of(settings).items() if role in roles}
    write_whole(Path(settings.data.directory) / ENDPOINTS, msgspec.json.format(msgspec.json.encode(found)))


def read_endpoints(directory: Path) -> dict[str, str]:
    """Where the roles of the last `grosz up` are reached; empty where there was none."""
    return {role: url for role, url in _read_note(directory).items() if not role.startswith(_METRICS)}


def read_metrics(directory: Path) -> dict[str, str]:
    """Role -> URL below which its metrics are, of the last `grosz up`; the role's own after an older release's."""
    noted = _read_note(directory)
    found = {name.removeprefix(_METRICS): url for name, url in noted.items() if name.startswith(_METRICS)}
    return found or noted


def _read_note(directory: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode((directory / ENDPOINTS).read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


class SettingsInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a run that decide about bids and their markup; none of them is a secret."""

    consent: ConsentSettings
    track: TrackSettings
    catalogue: CatalogueSettings
    ads: AdsSettings


def write_in_force(settings: Settings) -> None:
    """Leave a note of what this run decides by, for commands like `grosz explain` in a shell that was told nothing."""
    ads = settings.ads
    if ads.templates:
        ads = msgspec.structs.replace(ads, templates=str(Path(ads.templates).absolute()))
    noted = SettingsInForce(consent=settings.consent, track=settings.track, catalogue=settings.catalogue, ads=ads)
    write_whole(Path(settings.data.directory) / IN_FORCE, msgspec.json.format(msgspec.json.encode(noted)))


def read_in_force(directory: Path) -> SettingsInForce | None:
    """What the last `grosz up` in a directory decided by; None where there was none, or one of another release."""
    try:
        return msgspec.json.decode((directory / IN_FORCE).read_bytes(), type=SettingsInForce)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def run_directory(directory: Path) -> Path:
    """An empty folder for what the processes of this run share (core.telemetry.scrape)."""
    path = directory / "run"
    path.mkdir(exist_ok=True, mode=0o700)
    for left_behind in path.iterdir():
        left_behind.unlink()
    return path
