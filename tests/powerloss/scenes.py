"""All scenes, by name."""

from tests.powerloss.job_scenes import JOB_SCENES
from tests.powerloss.leaving_scenes import LEAVING_SCENES
from tests.powerloss.ledger_scenes import LEDGER_SCENES
from tests.powerloss.scene import Scene
from tests.powerloss.upkeep_scenes import UPKEEP_SCENES

SCENES: dict[str, Scene] = {**JOB_SCENES, **UPKEEP_SCENES, **LEAVING_SCENES, **LEDGER_SCENES}
