"""Remove what a cancelled job had prepared."""

from service.maintenance.work import Result, Work


def run(work: Work) -> Result:
    """Nothing is left to do: the start-up ladder, which comes before every such task, has removed it."""
    return {"generation": work.holding.state.generation}
