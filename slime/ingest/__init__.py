"""Whatever a lab has, as a zarr store in slime's layout: streamed, resumable, verified."""

from slime.ingest.convert import ingest_movie
from slime.ingest.spec import IngestSpec

__all__ = ["IngestSpec", "ingest_movie"]
