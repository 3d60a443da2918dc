"""The noise ceiling as the page tells of it."""

import pandas as pd

from slime.ceiling import CEILING, KNOWN, SHARES, TEMPORAL, VARIANCE
from slime.report.run_files import RunFiles
from slime.report.scores import mean_score, mean_value, pooled, table_leads
from slime.score_rows import rows_where
from slime.texts import lead_text, number_text, skill_text

SOURCES = {
    True: "known from the simulated camera",
    False: "estimated from train frames, as if independent between pixels and frames",
}


def ceiling_sentences(folder: RunFiles) -> list[str]:
    """How much skill the noise of the frames allows at the first lead and the last, and what part.

    Of known and estimated noise the known is told.
    """
    said = []
    leads = table_leads(folder)
    for lead in dict.fromkeys([*leads[:1], *leads[-1:]]):
        of = {
            score: mean_value(_best(folder, score, lead)) for score in (CEILING, TEMPORAL, VARIANCE)
        }
        top, temporal, variance = of.values()
        if top is None or temporal is None or variance is None:
            continue
        source = SOURCES[_best(folder, CEILING, lead)["model"].iloc[0] == KNOWN]
        said.append(
            f"Noise ceiling at {lead_text(lead, folder.lead_s)}: no forecast can be expected above "
            f"skill {skill_text(top)}{_share(folder, CEILING, lead)}, and none that averages the "
            f"frames given pixel by pixel above {skill_text(temporal)}"
            f"{_share(folder, TEMPORAL, lead)}; noise variance {number_text(variance)} "
            f"({folder.unit}, squared), {source}."
        )
    return said


def _best(folder: RunFiles, score: str, lead: int) -> pd.DataFrame:
    rows = pooled(folder, score, lead=lead)
    known = rows_where(rows, model=KNOWN)
    return known if len(known) else rows


def _share(folder: RunFiles, ceiling: str, lead: int) -> str:
    share = mean_score(folder, SHARES[ceiling], folder.net, lead)
    return "" if share is None else f" ({folder.net}: {share:.0%} of it)"
