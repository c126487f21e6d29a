"""Every kind of sync, and the disk that shows its loss; or why no disk does."""

from dataclasses import dataclass

from tests.powerloss.disk import Loss
from tests.powerloss.losses import BYTES_LOST, FIRST_NAME_LOST, NEWEST_NAME_KEPT, NOTHING_KEPT, ZEROS


@dataclass(frozen=True)
class Caught:
    """Which disk shows that the sync was missing: of which scene, what was lost, and at which words to the callers."""

    scene: str
    loss: Loss
    at: str = ""  # any that promise something; or after every event of this kind
    by: str = "promise"  # or "end": only the work that goes on shows it
    alone: bool = True  # False: one of COVERED would do instead, so these are missing too
    chance: str = ""  # what may come afterwards or not, and would do instead: missing from then on


NEW_CONNECTION = (
    "data/ in sqlite"  # of which each syncs its log's folder once, whenever a second one is needed
)
CAUGHT = {
    # What every scene does.
    "./ in selftest.world.__post_init__": Caught("first", NOTHING_KEPT),
    "data/ in sqlite": Caught("withdraw", NOTHING_KEPT),
    "data/tidestone.db in sqlite": Caught("migration", ZEROS),
    "data/tidestone.db-wal in sqlite": Caught("withdraw", ZEROS),
    # Start-up and commits.
    "collections/ in engine.recover._prepare_folder 4": Caught("killed at birth", NOTHING_KEPT),
    "data/ in engine.recover._prepare_folder 4": Caught(
        "first", NOTHING_KEPT, alone=False, chance=NEW_CONNECTION
    ),
    "docs/ in engine.recover._prepare_folder 4": Caught("killed in a commit", NOTHING_KEPT),
    "collection.json in index.collection_file.claim_folder 1": Caught(
        "killed at birth", BYTES_LOST, "ledger.before", "end"
    ),
    "collection.json in index.collection_file.claim_folder 3": Caught(
        "first", BYTES_LOST, "ledger.before", "end"
    ),
    "quarantine/ in engine.recover._remove_or_put_aside": Caught("damaged", NOTHING_KEPT, "folder.synced"),
    "quarantine/ in engine.repair._put_aside": Caught("damaged", NOTHING_KEPT, "folder.synced"),
    "commits/*.tmp in engine.recover._restore_commit_records": Caught("damaged", ZEROS),
    "segments/*.faiss in index.segment.write_segment 1": Caught("later", BYTES_LOST),
    "segments/*.chunks in index.segment.write_segment 2": Caught("later", BYTES_LOST),
    "segments/*.live in index.live.write_live": Caught("withdraw", BYTES_LOST),
    "segments/ in engine.commit._write": Caught("withdraw", NOTHING_KEPT),
    "segments/*.faiss in index.merge.merge_segments 1": Caught("later", BYTES_LOST),
    "segments/*.chunks in index.merge.merge_segments 2": Caught("later", BYTES_LOST),
    "segments/ in index.merge.merge_segments 3": Caught("later", NOTHING_KEPT),
    "commits/*.json in index.commit_record.write_record 1": Caught("withdraw", BYTES_LOST),
    "commits/ in index.commit_record.write_record 2": Caught("withdraw", NOTHING_KEPT),
    "manifest.json.tmp in index.manifest.publish": Caught("withdraw", BYTES_LOST),
    "docs/ in index.manifest.publish": Caught("withdraw", NOTHING_KEPT),
    # Large merges.
    "scratch/*.faiss in index.merge.merge_segments 1": Caught("compact", BYTES_LOST),
    "scratch/*.chunks in index.merge.merge_segments 2": Caught("compact", BYTES_LOST),
    "segments/ in maintenance.compact._placed 2": Caught("compact", NOTHING_KEPT),
    # What must be gone.
    "segments/ in maintenance.collect.remove": Caught("collect", NOTHING_KEPT),
    "segments/*.faiss in index.redact.redact 1": Caught("purge", BYTES_LOST),
    "segments/*.chunks in index.redact.redact 2": Caught("purge", BYTES_LOST),
    "segments/ in maintenance.purge._lives": Caught("purge", NOTHING_KEPT),
    "segments/ in maintenance.purge._remove": Caught("purge", NOTHING_KEPT),
    "quarantine/ in maintenance.purge._clear_quarantine": Caught("purge", NOTHING_KEPT),
    "scratch/ in maintenance.purge._throw_merges_away": Caught("purge", NOTHING_KEPT),
    "docs/ in index.demolish.remove_folder 1": Caught("drop", FIRST_NAME_LOST, "unlink"),
    "docs/ in index.demolish.remove_folder 2": Caught("drop", FIRST_NAME_LOST, "folder.unsynced", "end"),
    "collections/ in index.demolish.remove_folder 3": Caught("drop", NOTHING_KEPT),
    # Another model.
    "segments/ in maintenance.switch.run": Caught("reindex", NOTHING_KEPT, alone=False),
    # Backups, and their return.
    "./ in maintenance.backup.back_up 1": Caught("backup", NOTHING_KEPT),
    "backups/ in maintenance.backup.back_up 2": Caught("backup", NOTHING_KEPT),
    "tidestone.db in maintenance.backup._stage": Caught("backup", ZEROS),
    "*/ in maintenance.backup._sync_folders": Caught("backup", FIRST_NAME_LOST, "told"),
    "collections/ in maintenance.backup._sync_folders": Caught("backup", NOTHING_KEPT),
    "docs/ in maintenance.backup._sync_folders": Caught("backup", NOTHING_KEPT),
    "segments/ in maintenance.backup._sync_folders": Caught("backup", NOTHING_KEPT),
    "commits/ in maintenance.backup._sync_folders": Caught("backup", NOTHING_KEPT),
    "backup.json.new in maintenance.backup_file.write 1": Caught("backup", ZEROS),
    "*/ in maintenance.backup_file.write 2": Caught("backup", NOTHING_KEPT),
    "./ in maintenance.put_back.put_back 1": Caught("restore", NOTHING_KEPT),
    "data/ in maintenance.put_back.put_back 2": Caught("restore", FIRST_NAME_LOST, "restore.brought", "end"),
    "collection.json in maintenance.put_back._bring 2": Caught("restore", BYTES_LOST),
    "commits/*.json in maintenance.put_back._bring 2": Caught("restore", BYTES_LOST),
    "segments/*.faiss in maintenance.put_back._bring 2": Caught("restore", BYTES_LOST),
    "segments/*.chunks in maintenance.put_back._bring 2": Caught("restore", BYTES_LOST),
    "segments/*.live in maintenance.put_back._bring 2": Caught("restore", BYTES_LOST),
    "collections/ in maintenance.put_back._bring_all": Caught("restore", NOTHING_KEPT),
    "docs/ in maintenance.put_back._bring_all": Caught("restore", NOTHING_KEPT),
    "segments/ in maintenance.put_back._bring_all": Caught("restore", NOTHING_KEPT),
    "commits/ in maintenance.put_back._bring_all": Caught("restore", NOTHING_KEPT),
    "tidestone.db.new in maintenance.put_back._bring_ledger 1": Caught("restore", ZEROS, alone=False),
    "data/ in maintenance.put_back._bring_ledger 2": Caught(
        "restore", NEWEST_NAME_KEPT, "folder.unsynced", "end"
    ),
    "data/ in maintenance.put_back.put_back 3": Caught("restore", NOTHING_KEPT),
    # A ledger made anew.
    "tidestone.db in maintenance.rebuild._write": Caught("rebuild of a lost", ZEROS, alone=False),
    "data/ in maintenance.rebuild._put_into_place 1": Caught("rebuild of a lost", NEWEST_NAME_KEPT, "rename"),
    "data/ in maintenance.rebuild._put_into_place 2": Caught("rebuild of a lost", NOTHING_KEPT),
}

THE_LADDER = "start-up syncs this folder again before anything counts that is in it"
COMES_BACK = "it makes removals last; what comes back is removed, or put aside, again"
MADE_AGAIN = "a merge that is lost before it is taken in is made again"
AS_A_WHOLE = "the file is synced as a whole before it gets its name"
COVERED = {
    "collections/ in engine.worker._lease_for": THE_LADDER,
    "data/ in engine.worker._lease_for": THE_LADDER,
    "docs/ in index.collection_file.claim_folder 4": THE_LADDER,
    "docs/ in engine.recover._prepare_folder 3": THE_LADDER,
    "data/tidestone.db-journal in sqlite": "it protects what an empty database held: nothing",
    "segments/ in index.segment.write_segment 3": "the commit syncs it again, after the files of what is alive",
    "segments/ in engine.recover._remove_orphans 1": COMES_BACK,
    "commits/ in engine.recover._remove_orphans 1": COMES_BACK,
    "quarantine/ in engine.recover._remove_orphans 2": "what is put aside is synced by itself",
    "segments/ in engine.recover._remove_or_put_aside": COMES_BACK,
    "segments/ in engine.repair._put_aside": COMES_BACK,
    "commits/ in engine.recover._restore_commit_records": "the ledger has the record, and the next start writes it again",
    "docs/ in index.scratch.only_merger": MADE_AGAIN,
    "scratch/ in index.merge.merge_segments 3": MADE_AGAIN,
    "scratch/ in index.merge_child.make 2": MADE_AGAIN,
    "scratch/*.kept in index.merge_child.make 1": MADE_AGAIN,
    "scratch/ in maintenance.compact._placed 1": "a second name that comes back there is cleared by the next merge",
    "segments/ in index.redact.redact 3": "the files of what is alive are written and synced next, before the commit",
    "restoring.json in maintenance.put_back._mark": "its name says all there is to say",
    "tidestone.db.new in maintenance.put_back._bring 2": AS_A_WHOLE,
    "data/ in maintenance.put_back._bring_all": "it makes removals last, and is synced again with the ledger's name",
    "data/.rebuild-*/ in sqlite": AS_A_WHOLE,
    "data/.rebuild-*/tidestone.db in sqlite": AS_A_WHOLE,
    "data/.rebuild-*/tidestone.db-journal in sqlite": AS_A_WHOLE,
    "data/.rebuild-*/tidestone.db-wal in sqlite": AS_A_WHOLE,
}

AS_ELSEWHERE = "the same writer is used where it is played, at the same point of the order"
NOT_PLAYED = {
    "data_folder._make_data_dir": "the scenes' world makes its data folder the same way",
    "embedders.model._sync": "a model can be made again, and is hashed",
    "engine.recover._prepare_folder 1": THE_LADDER,
    "engine.recover._prepare_folder 2": THE_LADDER,
    "maintenance.keeper._lease": THE_LADDER,
    "engine.recover.do_without_codes": COMES_BACK,
    "engine.recover.mend_live": AS_ELSEWHERE,
    "index.approximate.build": AS_ELSEWHERE,
    "index.collection_file.claim_folder 2": AS_ELSEWHERE,
    "maintenance.backup._second_name": "the staging folder is in the data folder: only names are made there",
    "maintenance.backup._take 1": "played as a second name; a copy of the bytes is played by the restore",
    "maintenance.backup._take 2": "the same, where an earlier backup has rotted",
    "maintenance.clearing.clear_away": COMES_BACK,
    "maintenance.past._put_aside": AS_ELSEWHERE,
    "maintenance.put_back._bring 1": "a process would have to be killed between a file's last byte and its sync",
    "maintenance.rebuild._let_begin_anew 1": AS_ELSEWHERE,
    "maintenance.rebuild._let_begin_anew 2": AS_ELSEWHERE,
    "maintenance.rebuild.rebuild": AS_ELSEWHERE,
    "maintenance.rollback._keep_out": AS_ELSEWHERE,
    "maintenance.switch._give_up": AS_ELSEWHERE,
}
