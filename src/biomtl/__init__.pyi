from biomtl.errors import InputError as InputError
from biomtl.formats.model import Document as Document
from biomtl.formats.model import Mention as Mention
from biomtl.formats.model import Relation as Relation
from biomtl.frames import from_frame as from_frame
from biomtl.frames import to_frame as to_frame
from biomtl.inference.annotate import Annotator as Annotator
from biomtl.inference.predictor import Predictor as Predictor
from biomtl.inference.predictor import Result as Result
from biomtl.model import MultiTaskModel as MultiTaskModel
from biomtl.scoring import score as score
from biomtl.scoring.result import Score as Score
from biomtl.study.stages import train as train
from biomtl.suite import Suite as Suite
from biomtl.suite import load_suite as load_suite
from biomtl.tasks import Task as Task
from biomtl.tasks import get_task as get_task
from biomtl.training.recipe import Recipe as Recipe
from biomtl.training.run import Run as Run

__version__: str
__all__: list[str]
