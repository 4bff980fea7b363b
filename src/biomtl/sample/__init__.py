"""The bundled sample suite; ``python -m biomtl.sample DIR`` writes it to a folder."""

from biomtl.sample.suite import make_sample, sample_folder, sample_records, sample_task

__all__ = ["make_sample", "sample_folder", "sample_records", "sample_task"]
