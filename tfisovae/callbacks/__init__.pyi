from .annealing import LambdaSchedule as LambdaSchedule
from .monitor import IsometryMonitor as IsometryMonitor

ANNEALINGS: tuple[str, ...]
