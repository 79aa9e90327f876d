"""Tiles to TFRecord shards and their index.

Re-exports what needs no TensorFlow. `record`, `sharding`, `building`, `writing`, `verifying` and `pictures`, which do,
are imported by their own names, so that a process that only decodes and cuts never loads it.
"""

from records.shards.bits import pack_classes
from records.shards.case_entry import CaseEntry
from records.shards.checking import CHECK, check_source, write_check
from records.shards.cutting import cut_case, estimate_bytes
from records.shards.index import INDEX, Index, Split, check_config, locate_records, read_index, write_index
from records.shards.planning import RecordsPlan, plan_records

__all__ = [
    "CHECK",
    "INDEX",
    "CaseEntry",
    "Index",
    "RecordsPlan",
    "Split",
    "check_config",
    "check_source",
    "cut_case",
    "estimate_bytes",
    "locate_records",
    "pack_classes",
    "plan_records",
    "read_index",
    "write_check",
    "write_index",
]
