"""The possible contents of a disk after a loss of power, from the record that power-loss-record.c made. See power_loss.py.

Synced is what was written before a completed sync of the file began, and each write through a descriptor with O_DSYNC. Of
everything else any subset may be on the disk, in any order and torn at any sector. Names (of new, linked, renamed and removed
files) become durable with a sync of their folder, and are not reordered: file systems with a journal do not reorder them, and
the store does not support others.
"""

import bisect
import os
import pathlib
import random
import struct

WRITE, WRITE_DURABLE, TRUNCATE, SYNC, CREATE, MAKE_FOLDER, RENAME, REMOVE, LINK = range(1, 10)
NAMING = (CREATE, MAKE_FOLDER, RENAME, REMOVE, LINK)
PAGE, SECTOR = 4096, 512
MODES = ("all", "none", "prefix", "pages", "sectors")


class Event:
    __slots__ = ("end", "kind", "path", "file", "offset", "data")


class Record:
    """The events in order, each with its file. `positions` are the sizes of the log after each event."""

    def __init__(self, path, folder):
        self.events, self.folder = [], folder
        content, place = memoryview(path.read_bytes()), 0
        names, files = {}, 0
        while place < len(content):
            event = Event()
            event.kind, path_bytes, event.offset, data_bytes = struct.unpack_from("<IIQQ", content, place)
            place += 24
            event.path = os.path.relpath(bytes(content[place:place + path_bytes]).decode(), folder)
            place += path_bytes
            event.data = content[place:place + data_bytes]
            place += data_bytes
            event.end = place
            if event.kind in (RENAME, LINK):
                event.data = os.path.relpath(bytes(event.data).decode(), folder)
            if event.kind in (CREATE, MAKE_FOLDER):
                names[event.path] = files
                files += 1
            event.file = names.get(event.path)
            if event.kind in (RENAME, LINK) and event.file is not None:
                names[event.data] = event.file
            if event.kind in (RENAME, REMOVE):
                names.pop(event.path, None)
            self.events.append(event)
        self.positions = [event.end for event in self.events]

    def unsynced(self, since):
        """The indexes at which there are writes that are not synced."""
        found, pending = [], 0
        for index, event in enumerate(self.events):
            pending = 0 if event.kind == SYNC else pending + (event.kind == WRITE)
            if pending and event.end >= since:
                found.append(index + 1)
        return found

    def index(self, position):
        return bisect.bisect_left(self.positions, position)


class Disk:
    """The disk while the record is replayed. It only moves forward."""

    def __init__(self, record):
        self.record, self.count = record, 0
        self.synced, self.pending = {}, {}
        self.names, self.names_synced = [], 0

    def advance(self, count):
        """Replays the first `count` events of the record."""
        while self.count < count:
            event = self.record.events[self.count]
            self.count += 1
            if event.kind in NAMING:
                self.names.append(event)
                if event.kind == CREATE:
                    self.synced[event.file], self.pending[event.file] = bytearray(), []
            elif event.kind == SYNC:
                self.sync(event)
            elif event.file is None or event.file not in self.synced:
                continue
            elif event.kind == WRITE_DURABLE:
                # It replaces earlier writes of the same bytes that were not synced.
                self.pending[event.file] = [
                    piece for old in self.pending[event.file] for piece in without(old, event)]
                apply(self.synced[event.file], event.offset, event.data)
            else:
                self.pending[event.file].append((event.end, event.kind, event.offset, event.data))

    def sync(self, event):
        folder = "" if event.path == "." else event.path
        for index, naming in enumerate(self.names):
            new_path = naming.data if naming.kind in (RENAME, LINK) else naming.path
            if naming.end <= event.offset and folder in (os.path.dirname(naming.path), os.path.dirname(new_path)):
                self.names_synced = max(self.names_synced, index + 1)
        if event.file in self.synced:
            rest = []
            for end, kind, offset, data in self.pending[event.file]:
                if end > event.offset:
                    rest.append((end, kind, offset, data))
                elif kind == TRUNCATE:
                    truncate(self.synced[event.file], offset)
                else:
                    apply(self.synced[event.file], offset, data)
            self.pending[event.file] = rest

    def image(self, folder, mode):
        """Writes one possible state of the disk to a folder."""
        in_progress = self.record.events[self.count] if self.count < len(self.record.events) else None
        count = len(self.names) if mode == "all" else random.randint(self.names_synced, len(self.names))
        names = {}
        for event in self.names[:count]:
            if event.kind in (CREATE, MAKE_FOLDER):
                names[event.path] = event
            elif event.kind in (RENAME, LINK) and event.path in names:
                names[event.data] = names[event.path]
            if event.kind in (RENAME, REMOVE):
                names.pop(event.path, None)
        for path, event in names.items():
            place = pathlib.Path(folder, path)
            if event.kind == MAKE_FOLDER:
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, event in names.items():
            # LMDB recreates its lock file, which is shared memory, after a loss of power.
            if event.kind == CREATE and not path.endswith("lock.mdb"):
                place = pathlib.Path(folder, path)
                if place.parent.is_dir():
                    place.write_bytes(self.content(event.file, mode, in_progress))
                    place.chmod(0o400 if "pepper" in path else 0o600)

    def content(self, file, mode, in_progress):
        content, pending = bytearray(self.synced[file]), self.pending[file]
        if in_progress and in_progress.file == file and in_progress.kind in (WRITE, WRITE_DURABLE, TRUNCATE):
            pending = [*pending, (in_progress.end, min(in_progress.kind, TRUNCATE), in_progress.offset, in_progress.data)]
        if mode == "none":
            return content
        unit = PAGE if mode == "pages" else SECTOR
        pieces = [piece for write in pending for piece in split(write, unit)]
        if mode == "prefix":
            pieces = pieces[:random.randint(0, len(pieces))]
        chance = random.choice((0.1, 0.5, 0.9, 0.98)) if mode in ("pages", "sectors") else 1
        for kind, offset, data in pieces:
            if random.random() <= chance:
                if kind == TRUNCATE:
                    truncate(content, offset)
                else:
                    apply(content, offset, data)
        return content


def apply(content, offset, data):
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


def truncate(content, size):
    del content[size:]
    content.extend(bytes(size - len(content)))


def split(write, unit):
    """Splits a write into pieces that a disk writes atomically."""
    _, kind, offset, data = write
    if kind == TRUNCATE:
        yield kind, offset, data
        return
    done = 0
    while done < len(data):
        count = min(unit - (offset + done) % unit, len(data) - done)
        yield kind, offset + done, data[done:done + count]
        done += count


def without(write, newer):
    """The parts of an older write that a newer one does not replace."""
    end, kind, offset, data = write
    if kind == TRUNCATE or offset + len(data) <= newer.offset or newer.offset + len(newer.data) <= offset:
        yield write
        return
    if offset < newer.offset:
        yield end, kind, offset, data[:newer.offset - offset]
    behind = newer.offset + len(newer.data)
    if behind < offset + len(data):
        yield end, kind, behind, data[behind - offset:]
