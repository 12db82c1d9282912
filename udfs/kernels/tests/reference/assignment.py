"""Writes assignment.txt: where units stand by mmh3 5.3.1, growthbook 4.0.0, PlanOut 0.6.0 and hashlib.

Each line: experiment, unit, then the places of murmur3 (seeds 0 and 9), growthbook_v2, growthbook_v1, planout,
eppo, optimizely. Run: python assignment.py > assignment.txt
"""

import hashlib
import math

import mmh3
from growthbook.core import gbhash
from planout.ops.random import RandomFloat


class Mapper:
    experiment_salt, salt_sep = "", "."

    def evaluate(self, value):
        return value


def planout(experiment, unit):
    operator = RandomFloat(min=0.0, max=1.0, unit=unit, full_salt=experiment)
    operator.mapper, operator.args = Mapper(), {"min": 0.0, "max": 1.0, "unit": unit, "full_salt": experiment, "salt": ""}
    return operator.getUniform()


for experiment in ["checkout", "exp.7"]:
    for unit in ["user-1", "42", "a", "ab", "abc", "abcd", "x" * 40]:
        murmur = [mmh3.hash(f"{experiment}.{unit}".encode(), seed, signed=False) / 2**32 for seed in (0, 9)]
        eppo = int(hashlib.md5(f"{experiment}-{unit}".encode()).hexdigest()[:8], 16) % 10000 / 10000
        optimizely = math.floor(mmh3.hash((unit + experiment).encode(), 1, signed=False) / 2**32 * 10000) / 10000
        growthbook = [gbhash(experiment, unit, version) for version in (2, 1)]
        print(experiment, unit, *map(repr, murmur + growthbook + [planout(experiment, unit), eppo, optimizely]))
